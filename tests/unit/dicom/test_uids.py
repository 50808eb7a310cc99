from __future__ import annotations

from pydicom.uid import UID

from hexdicom.dicom import uids


def test_derived_uids_are_valid_and_follow_from_what_they_identify() -> None:
    found = {
        uids.archive_series_uid("1.2.3"),
        uids.archive_instance_uid("1.2.3", "ab", "cd", 1),
        uids.archive_instance_uid("1.2.3", "ab", "cd", 2),
        uids.derived_series_uid("1.2.3", "1.2.4"),
        uids.derived_instance_uid("1.2.3", "1.2.4"),
        uids.enhanced_instance_uid("1.2.4"),
        uids.enhanced_series_uid("1.2.3"),
    }
    assert len(found) == 7
    assert all(UID(uid).is_valid and uid.startswith("2.25.") for uid in found)
    assert uids.archive_series_uid("1.2.3") in found


def test_parts_of_a_name_do_not_run_together() -> None:
    assert uids.uid_from("ab", "c") != uids.uid_from("a", "bc")


def test_own_uids_fit_their_elements() -> None:
    assert UID(uids.IMPLEMENTATION_CLASS_UID).is_valid
    assert UID(uids.ARCHIVE_FORMAT_UID).is_valid
    assert len(uids.IMPLEMENTATION_VERSION_NAME) <= 16
