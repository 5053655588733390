"""All families of files, by name. What they share, such as small nets, is made once for the process."""

import csv_mutants
import image_mutants
import parquet_mutants
import study_mutants
import text_mutants
import weights_mutants
from family import Family

EVERY = (
    csv_mutants.FAMILY,
    parquet_mutants.FAMILY,
    *image_mutants.FAMILIES,
    *text_mutants.FAMILIES,
    *weights_mutants.FAMILIES,
    *study_mutants.FAMILIES,
)
FAMILIES: dict[str, Family] = {family.name: family for family in EVERY}
