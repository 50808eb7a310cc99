"""Storage commitment: who asked us gets a report, and PACS that hold our archives are asked. Both go on after a restart."""
