"""What a study compares: every way of training (an arm), the images it needs, its flags, what it is the control of."""

from collections.abc import Iterator
from dataclasses import dataclass

AUGMENTED_PROBABILITY = 0.8
AUGMENTATIONS, AROUND_FACES, OWN_CODES, EXPANSION = "augmentations", "augmentations_face", "own_code", "expansion"
IMAGES = {  # the flags of create_augmentations.py beside those of the study
    AUGMENTATIONS: (),
    AROUND_FACES: ("--centre", "face"),
    OWN_CODES: ("--centre", "face", "--neighborhood", "0"),
    EXPANSION: ("--expand_dataset", "True"),
}


@dataclass(frozen=True)
class Arm:
    """One way of training.

    `images` is one of IMAGES, or empty; `flags` are train_model.py's. A `soft` arm learns from the probabilities of
    teachers. An arm is the `control_of` others where it has all that they have but for the generator's edits. The
    logits of a `rebalanced` arm, which saw the emotions in the expanded set's shares, are also corrected for these.
    Votes of three are among `voting` arms.
    """

    what: str
    images: str = ""
    flags: tuple[str, ...] = ()
    soft: bool = False
    control_of: tuple[str, ...] = ()
    rebalanced: bool = False
    voting: bool = False

    @property
    def expands(self) -> bool:
        """Whether it trains on the expanded set."""
        return self.images == EXPANSION


SYNTHETIC = {
    "augmented": Arm("each time a face is sampled, an augmentation near its emotion's centre replaces it with "
                     "probability 0.8", AUGMENTATIONS, voting=True),
    "augmented_face": Arm("each time a face is sampled, an augmentation near the code of the face itself replaces it "
                          "with probability 0.8", AROUND_FACES, voting=True),
    "expanded": Arm("the real faces and the same persons with the other six emotions", EXPANSION, rebalanced=True,
                    voting=True),
}  # fmt: skip
THEN_REAL = "; the last fifth of the training on real faces alone", ("--real_only_last", "0.2")
# What is changed of each arm of SYNTHETIC: the ending of the name, what is said of it, flags.
VARIANTS = {
    "then_real": THEN_REAL,
    "norms": ("; synthetic faces have batch norms of their own", ("--synthetic_norms", "True")),
}


def variants() -> Iterator[tuple[str, Arm]]:
    """The arms of SYNTHETIC with soft labels, and each of VARIANTS of them."""
    for name, arm in SYNTHETIC.items():
        soft = f"{name}, with the teachers' probabilities for labels"
        yield f"{name}_soft", Arm(soft, arm.images, soft=True)
    for ending, (what, flags) in VARIANTS.items():
        for name, arm in SYNTHETIC.items():
            yield f"{name}_{ending}", Arm(name + what, arm.images, flags)


ARMS = {
    "baseline": Arm("the real faces alone", voting=True),
    **SYNTHETIC,
    "byol": Arm("pre-trained with BYOL on faces and their augmentations, then trained as the baseline", AUGMENTATIONS,
                voting=True),
    **dict(variants()),
    "oversampled": Arm("real faces alone, sampled with the emotions in the shares of the expanded set",
                       flags=("--class_shares", "expanded"), control_of=("expanded",), rebalanced=True),
    "own_code": Arm("as augmented_face, each face generated at its own code: the generator's traces alone", OWN_CODES,
                    control_of=("augmented_face", "augmented")),
    "own_code_then_real": Arm("own_code" + THEN_REAL[0], OWN_CODES, THEN_REAL[1],
                              control_of=("augmented_face_then_real", "augmented_then_real")),
    "baseline_soft": Arm("the real faces alone, with the teachers' probabilities for labels", soft=True,
                         control_of=("expanded_soft", "augmented_face_soft", "augmented_soft")),
    "elastic_soft": Arm("the real faces, each view warped at random, with the teachers' probabilities for labels",
                        flags=("--elastic", "50"), soft=True, control_of=("augmented_face_soft", "augmented_soft")),
}  # fmt: skip
CLASSIC = tuple(name for name, arm in ARMS.items() if arm.voting)
