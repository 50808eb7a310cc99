-- A catalog as hexdicom 0.1.0 wrote it (schema 1), with one archived series. Never edit it.
BEGIN TRANSACTION;
CREATE TABLE delivery (
	id INTEGER NOT NULL, 
	stored_id BIGINT NOT NULL, 
	target TEXT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	error TEXT DEFAULT '' NOT NULL, 
	changed_at FLOAT DEFAULT 0 NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (stored_id, target)
);
INSERT INTO "delivery" VALUES(1,1,'pacs','VERIFIED','',1800000200.0);
CREATE TABLE event (
	id INTEGER NOT NULL, 
	at FLOAT DEFAULT 0 NOT NULL, 
	name TEXT NOT NULL, 
	series_instance_uid TEXT DEFAULT '' NOT NULL, 
	job_id BIGINT DEFAULT 0 NOT NULL, 
	detail JSON, 
	PRIMARY KEY (id)
);
INSERT INTO "event" VALUES(1,1800000000.0,'series.receiving','1.2.3.9',0,NULL);
CREATE TABLE instance (
	id INTEGER NOT NULL, 
	sop_instance_uid TEXT NOT NULL, 
	sop_class_uid TEXT DEFAULT '' NOT NULL, 
	transfer_syntax_uid TEXT DEFAULT '' NOT NULL, 
	study_instance_uid TEXT DEFAULT '' NOT NULL, 
	series_instance_uid TEXT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	size BIGINT DEFAULT 0 NOT NULL, 
	path TEXT DEFAULT '' NOT NULL, 
	version INTEGER NOT NULL, 
	received_at FLOAT DEFAULT 0 NOT NULL, 
	calling_ae_title TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (sop_instance_uid, sha256)
);
INSERT INTO "instance" VALUES(1,'1.2.3.1','1.2.840.10008.5.1.4.1.1.4','1.2.840.10008.1.2.1','1.2.3','1.2.3.9','abababababababababababababababababababababababababababababababab',4096,'received/a/b.dcm',1,1800000000.0,'SCANNER');
CREATE TABLE job (
	id INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	series_instance_uid TEXT NOT NULL, 
	target TEXT DEFAULT '' NOT NULL, 
	generation BIGINT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	attempts BIGINT DEFAULT 0 NOT NULL, 
	not_before FLOAT DEFAULT 0 NOT NULL, 
	lease_until FLOAT DEFAULT 0 NOT NULL, 
	worker TEXT DEFAULT '' NOT NULL, 
	step TEXT DEFAULT '' NOT NULL, 
	fraction FLOAT DEFAULT 0 NOT NULL, 
	error TEXT DEFAULT '' NOT NULL, 
	created_at FLOAT DEFAULT 0 NOT NULL, 
	finished_at FLOAT DEFAULT 0 NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (kind, series_instance_uid, target, generation)
);
INSERT INTO "job" VALUES(1,'archive','1.2.3.9','',1,'DONE',1,0.0,0.0,'worker-1','',0.0,'',1800000030.0,1800000100.0);
CREATE TABLE meta (
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "meta" VALUES('schema','1');
CREATE TABLE series (
	series_instance_uid TEXT NOT NULL, 
	study_instance_uid TEXT DEFAULT '' NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	generation BIGINT DEFAULT 0 NOT NULL, 
	judged BIGINT DEFAULT 0 NOT NULL, 
	instances BIGINT DEFAULT 0 NOT NULL, 
	bytes BIGINT DEFAULT 0 NOT NULL, 
	opened_at FLOAT DEFAULT 0 NOT NULL, 
	last_at FLOAT DEFAULT 0 NOT NULL, 
	archived_at FLOAT DEFAULT 0 NOT NULL, 
	reason TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (series_instance_uid)
);
INSERT INTO "series" VALUES('1.2.3.9','1.2.3','ARCHIVED',1,0,1,4096,1800000000.0,1800000000.0,1800000100.0,'');
CREATE TABLE stored (
	id INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	current INTEGER DEFAULT 0 NOT NULL, 
	source_series_uid TEXT NOT NULL, 
	study_instance_uid TEXT DEFAULT '' NOT NULL, 
	series_instance_uid TEXT DEFAULT '' NOT NULL, 
	sop_instance_uid TEXT NOT NULL, 
	sop_class_uid TEXT DEFAULT '' NOT NULL, 
	transfer_syntax_uid TEXT DEFAULT '' NOT NULL, 
	"key" TEXT NOT NULL, 
	sha256 TEXT DEFAULT '' NOT NULL, 
	size BIGINT DEFAULT 0 NOT NULL, 
	sources_digest TEXT DEFAULT '' NOT NULL, 
	source_bytes BIGINT DEFAULT 0 NOT NULL, 
	source_instances BIGINT DEFAULT 0 NOT NULL, 
	reason TEXT DEFAULT '' NOT NULL, 
	report JSON, 
	attributes JSON, 
	job_id BIGINT DEFAULT 0 NOT NULL, 
	created_at FLOAT DEFAULT 0 NOT NULL, 
	patient_id TEXT DEFAULT '' NOT NULL, 
	patient_name TEXT DEFAULT '' NOT NULL, 
	patient_birth_date TEXT DEFAULT '' NOT NULL, 
	patient_sex TEXT DEFAULT '' NOT NULL, 
	study_date TEXT DEFAULT '' NOT NULL, 
	study_time TEXT DEFAULT '' NOT NULL, 
	accession_number TEXT DEFAULT '' NOT NULL, 
	study_id TEXT DEFAULT '' NOT NULL, 
	study_description TEXT DEFAULT '' NOT NULL, 
	referring_physician_name TEXT DEFAULT '' NOT NULL, 
	modality TEXT DEFAULT '' NOT NULL, 
	series_number TEXT DEFAULT '' NOT NULL, 
	series_description TEXT DEFAULT '' NOT NULL, 
	instance_number TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE ("key")
);
INSERT INTO "stored" VALUES(1,'archive','STORED',1,'1.2.3.9','','','2.25.1','','','a/b/c.dcm','cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd',999,'',0,0,'',NULL,NULL,0,0.0,'','Doe^Jane','','','','','','','','','','','','');
CREATE INDEX ix_instance_series_instance_uid ON instance (series_instance_uid);
CREATE INDEX ix_series_state ON series (state);
CREATE INDEX ix_job_state ON job (state);
CREATE INDEX ix_stored_series_instance_uid ON stored (series_instance_uid);
CREATE INDEX ix_stored_sop_instance_uid ON stored (sop_instance_uid);
CREATE INDEX stored_study ON stored (study_instance_uid);
CREATE INDEX ix_stored_source_series_uid ON stored (source_series_uid);
COMMIT;
