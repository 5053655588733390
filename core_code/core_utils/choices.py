"""Names that flags, files and functions share: what can be chosen, and defaults that several commands have.

Nothing is imported but pathlib, so that argument parsers can read it.
"""

from pathlib import Path

DATA_ROOT = Path("data/fer2013")
AUGMENTATIONS_FOLDER, EXPANDED_FOLDER = Path("data/fer2013_augmentations"), Path("data/expanded_fer_2013")

OWN_LABELS = "own_labels"
DATASETS = ("fer2013", "sample", "folder", OWN_LABELS)
LABELS = HARD_LABELS, FERPLUS = "hard", "ferplus"
NO_AUGMENTATIONS = "none"  # in place of their folder
TTA_KINDS = NO_TTA, FLIP, TEN_CROP = "none", "flip", "ten_crop"  # test-time augmentation
VOTES = MEAN_VOTE, SUREST_VOTE = "mean", "surest"
CLASS_SHARES = OWN_SHARES, EXPANDED_SHARES, EQUAL_SHARES = "own", "expanded", "equal"  # of emotions in an epoch
LARGEST_VIEW = 4096  # pixels a side
SMALLEST_CROP = 0.08  # of a face's area, in the published training views
