"""What a study finds complete: files of its own faces, generator and settings alone."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import create_augmentations
from core_code.core_utils.checkpoints import BEST, BYOL_FIGURES, FIGURES, FINAL
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import read_json, save_weights, write_json
from core_code.core_utils.npz import write_npz
from core_code.datasets.fer2013 import FER2013
from core_code.experiments.__main__ import parse_arguments, settings_of
from core_code.experiments.completed import with_completed
from core_code.experiments.plan import Step, checkpoint_files, generator_folder, make_plan
from core_code.experiments.presets import StudySettings
from core_code.training.soft_labels import SoftLabels
from EmotionGAN.editor import DEFAULT_GENERATOR

FLAGS = ("--preset", "quick", "--experiments", "baseline", "augmented", "--device", "cpu", "--max_faces", "4")


@pytest.fixture(autouse=True)
def there(data_there: Path) -> Path:
    return data_there


def plan(*flags: str) -> tuple[StudySettings, FER2013, dict[str, Step]]:
    study = settings_of(parse_arguments([*FLAGS, *flags]))
    faces = FER2013(study.data_root, "train", study.dataset, study.max_faces)
    steps = make_plan(study, faces.class_counts.tolist())
    return study, faces, {step.name: step for step in with_completed(steps, study, faces)}


def completed(*flags: str) -> list[str]:
    return [step.name for step in plan(*flags)[2].values() if step.complete]


def save(step: Step, study: StudySettings, epochs: int = 3, **more: object) -> None:
    """A training's last and best checkpoints, without weights."""
    files = checkpoint_files(step, study.output_root)
    settings = {"image_size": 32, "seed": 1, "weights": "none", "dataset": "fer2013"}
    figures = BYOL_FIGURES if files.byol else FIGURES
    history = [{"epoch": epoch, **dict.fromkeys(figures, 1.0)} for epoch in range(1, epochs + 1)]
    for kind, epoch in ((BEST, 1), (FINAL, epochs)):
        save_weights(files.path(kind), {
            "net": {}, "epoch": epoch, "optimizer": {}, "loss": 1.0, "scheduler": None, "seed": 1, "name": "resnet18",
            "history": history[:epoch], "experiment": files.experiment, "settings": settings | more,
        })  # fmt: skip


def test_images_of_other_faces_seeds_or_generators_are_not_complete():
    step = plan()[2]["augmentations"]
    assert not step.complete
    create_augmentations.main(list(step.command[1:]))
    assert completed() == ["augmentations"]
    shutil.copytree(DEFAULT_GENERATOR, "mine")
    assert completed("--generator", "mine") == ["augmentations"], "the same weights"
    config = read_json(Path("mine/config.json"))
    write_json(Path("mine/config.json"), config | {"paint_gain": config["paint_gain"] + 0.1})
    for flags in (["--num_augments", "2"], ["--max_faces", "5"], ["--seed", "2"], ["--generator", "mine"]):
        assert completed(*flags) == [], flags
    assert completed("--max_faces", "3") == ["augmentations"], "images of more faces than are needed"
    write_json(Path("data/fer2013_augmentations/manifest.json"), {"format": 1})
    with pytest.raises(InputError, match=r"manifest\.json: mode is missing or damaged"):
        plan()


def test_images_of_a_part_are_those_of_the_generator_that_was_learned_from_it():
    flags = ("--shares", "0.5", "--learn_generators", "True")
    study, _, steps = plan(*flags)
    folder = generator_folder(study, 0.5)
    shutil.copytree(DEFAULT_GENERATOR, folder / "generator")
    create_augmentations.main(list(steps["augmentations_share0.5"].command[1:]))
    assert completed(*flags) == ["augmentations_share0.5"]
    trained, faces = steps["resnet18_augmented_share0.5_seed1"], FER2013(study.data_root, "train", study.dataset, 2)
    known = read_json(Path("data/fer2013_augmentations_share0.5/manifest.json"))["generator_fingerprint"]
    save(trained, study, training_data=faces.fingerprint(), **{"images' generator_fingerprint": known})
    assert completed(*flags) == ["augmentations_share0.5", trained.name]
    shutil.rmtree(folder)
    assert completed(*flags) == [trained.name], "what a generator that is gone has led to stays"


def test_a_generator_is_complete_that_was_learned_from_these_faces_with_these_settings():
    flags = ("--preset", "tenth", "--experiments", "augmented", "--shares", "0.5", "--learn_generators", "True")
    study, _, steps = plan(*flags)
    step, folder = steps["generator_share0.5"], generator_folder(study, 0.5)
    half = FER2013(study.data_root, "train", study.dataset, 2).fingerprint()
    settings = {
        "seed": 1,
        "training_data": half,
        "batch_size": 16,
        "width": 24,
        "paint_gain": 2.2,
        "lambda_cycle": 10.0,
    }

    def learn(steps: int = step.amount, **changed: object) -> None:
        save_weights(folder / "learning.pth", {"settings": json.dumps(settings | changed)})
        (folder / "learning.jsonl").write_text(json.dumps({"step": steps}) + "\n")

    assert not step.complete
    learn()
    assert completed(*flags) == [step.name]
    learn(step.amount - 1)
    assert completed(*flags) == []
    for changed, said in (
        ({"training_data": "of others"}, "learned from other faces than this study's"),
        ({"seed": 2}, "learned with seed 2, this study has 1"),
        ({"paint_gain": 1.8}, "learned with paint_gain 1.8, this study has 2.2"),
        ({"lambda_cycle": 5.0}, "learned with lambda_cycle 5.0, this study has 10.0"),
        ({"steps": step.amount + 5}, f"learned with steps {step.amount + 5}, this study has {step.amount}"),
    ):
        learn(**changed)
        with pytest.raises(InputError, match=rf"learning\.pth: {said}; give another --images_root"):
            plan(*flags)
    save_weights(folder / "learning.pth", {"settings": "{"})
    with pytest.raises(InputError, match="its settings are damaged"):
        plan(*flags)


def test_images_of_other_faces_are_refused():
    step = plan()[2]["augmentations"]
    create_augmentations.main([*step.command[1:], "--dataset", "sample"])
    with pytest.raises(InputError, match=r"manifest\.json: the images are of other faces"):
        plan()


def test_a_net_may_lack_images_of_faces_that_are_not_found():
    study, faces, steps = plan()
    create_augmentations.main(list(steps["augmentations"].command[1:]))
    path = Path("data/fer2013_augmentations/manifest.json")
    write_json(path, read_json(path) | {"images": 3, "faces_without_images": [2]})
    settings = {"emotion_transform_prob": 0.8, "images' images": 3, "training_data": faces.fingerprint()}
    save(steps["resnet18_augmented_seed1"], study, **settings)
    assert completed() == ["augmentations", "resnet18_augmented_seed1"]
    save(steps["resnet18_augmented_seed1"], study, **settings | {"images' images": 2})
    with pytest.raises(InputError, match="trained on 2 images"):
        plan()


def test_trainings_of_another_study_are_refused():
    study, faces, steps = plan()
    save(steps["resnet18_baseline_seed1"], study, training_data=faces.fingerprint())
    assert completed() == ["resnet18_baseline_seed1"]
    augmented = steps["resnet18_augmented_seed1"]
    settings = {"emotion_transform_prob": 0.8, "images' images": 4}
    save(augmented, study, training_data=faces.fingerprint(), **settings)
    assert completed() == ["resnet18_baseline_seed1", "resnet18_augmented_seed1"]
    for changed, said in (
        ({"emotion_transform_prob": 0.7}, "emotion_transform_prob 0.7, this study has 0.8"),
        ({"trained": "the head alone"}, "trained with trained the head alone, this study has the whole net"),
        ({"mixup": 0.4}, "trained with mixup 0.4, this study has 0.0"),
        ({"real_only_last": 0.2}, "trained with real_only_last 0.2, this study has 0.0"),
        ({"faces_per_epoch": 2}, "trained with faces_per_epoch 2, this study has None"),
        ({"images' images": 3}, "trained on 3 images, this study has 1 of each face; .*--num_augments"),
    ):
        save(augmented, study, training_data=faces.fingerprint(), **settings | changed)
        with pytest.raises(InputError, match=rf"augmented_seed1.*{said}"):
            plan()
    save(augmented, study, training_data=faces.fingerprint(), **settings)
    for flags in (["--epochs", "4"], ["--image_size", "48"]):
        with pytest.raises(InputError, match=rf"{flags[0][2:]} .*this study has {flags[1]}.*--output_root"):
            plan(*flags)
    with pytest.raises(InputError, match=r"baseline_seed1.*: trained on other faces than this study's"):
        plan("--max_faces", "5")
    save(augmented, study, training_data=faces.fingerprint(), **{"images' generator_fingerprint": "of another"})
    with pytest.raises(InputError, match=r"augmented_seed1.*: trained on images of another generator .* --generator"):
        plan()


def test_a_training_by_other_flags_of_an_arm_or_preset_is_refused():
    flags = ("--preset", "tenth", "--experiments", "augmented_then_real", "--shares", "1")
    study, faces, steps = plan(*flags)
    step = steps["resnet18_augmented_then_real_seed1"]
    settings = {"image_size": 40, "lr": 1e-3, "batch_size": 64, "label_smoothing": 0.1, "smallest_crop": 0.5,
                "real_only_last": 0.2, "emotion_transform_prob": 0.8, "training_data": faces.fingerprint()}  # fmt: skip
    save(step, study, 10, **settings)
    assert completed(*flags) == [step.name]
    for changed in ({"real_only_last": 0.0}, {"lr": 0.1}, {"batch_size": 128}, {"label_smoothing": 0.0}):
        save(step, study, 10, **settings | changed)
        (key,) = changed
        with pytest.raises(InputError, match=f"trained with {key} {changed[key]}, this study has"):
            plan(*flags)


def test_a_pretraining_of_the_heads_alone_is_refused():
    flags = ("--experiments", "byol")
    study, faces, steps = plan(*flags)
    step = steps["resnet18_byol_seed1_pretraining"]
    settings = {"fine_tune": True, "image_size": step.image_size, "training_data": faces.fingerprint()}
    save(step, study, step.epochs, **settings)
    assert completed(*flags) == [step.name]
    save(step, study, step.epochs, **settings | {"fine_tune": False})
    with pytest.raises(InputError, match="trained with fine_tune False, this study has True"):
        plan(*flags)


def test_soft_labels_of_images_that_have_changed_are_made_again():
    flags = ("--experiments", "baseline", "augmented_soft")
    steps = plan(*flags)[2]
    create_augmentations.main(list(steps["augmentations"].command[1:]))
    names = ["resnet18_soft_labels", "resnet18_soft_labels_augmentations"]
    labels = {"training_data": np.array(FER2013(max_faces=4).fingerprint()), "settings": np.array('{"epochs": 3}')}
    for name in names:
        path = Path(steps[name].command[steps[name].command.index("--dest") + 1])
        write_npz(path, labels)
    assert completed(*flags) == ["augmentations", *names]
    assert completed(*flags, "--num_augments", "2") == names[:1]
    manifest = Path("data/fer2013_augmentations/manifest.json")
    os.utime(manifest, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 10**9))
    assert completed(*flags) == ["augmentations", names[0]]
    path.write_bytes(path.read_bytes()[:100])
    assert completed(*flags, "--seeds", "2") == ["augmentations", names[0]], "damaged ones are made again"
    path = path.with_name("resnet18_teachers.npz")
    for changed, said in (
        ({"settings": np.array('{"epochs": 2}')}, "labelled with epochs 2, this study has 3"),
        ({"settings": np.array('{"confidence": 0.5}')}, "labelled with confidence 0.5, this study has 0.1"),
        ({"settings": np.array("{")}, "its settings are damaged"),
        ({"training_data": np.array("of others")}, "labels of other faces than this study's"),
    ):
        write_npz(path, labels | changed)
        with pytest.raises(InputError, match=said):
            plan(*flags)


def test_a_best_epoch_of_a_later_run_and_damaged_or_missing_checkpoints_are_not_complete():
    study, faces, steps = plan()
    step = steps["resnet18_baseline_seed1"]
    files = checkpoint_files(step, study.output_root)
    save(step, study, training_data=faces.fingerprint())
    assert completed() == [step.name]
    os.utime(files.path(BEST), ns=(0, files.path(FINAL).stat().st_mtime_ns + 10**9))  # a later run's
    assert completed() == []
    save(step, study, training_data=faces.fingerprint())
    files.path(FINAL).write_bytes(files.path(FINAL).read_bytes()[:200])
    assert completed() == []
    for kind in (FINAL, BEST):
        save(step, study, training_data=faces.fingerprint())
        files.path(kind).unlink()
        assert completed() == []


def test_a_net_on_other_soft_labels_is_not_complete():
    flags = ("--experiments", "baseline_soft")
    study, faces, steps = plan(*flags)
    step = steps["resnet18_baseline_soft_seed1"]
    path = Path(step.command[step.command.index("--soft_labels") + 1])
    labels = {"training_data": np.array(faces.fingerprint()), "faces": np.full((4, 7), 1 / 7, np.float32)}
    write_npz(path, labels)
    known = SoftLabels(path, labels).fingerprint
    save(step, study, training_data=faces.fingerprint(), soft_labels=known)
    assert completed(*flags) == ["resnet18_soft_labels", step.name]
    save(step, study, training_data=faces.fingerprint(), soft_labels="of others")
    assert completed(*flags) == ["resnet18_soft_labels"]
