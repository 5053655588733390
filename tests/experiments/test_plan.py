"""The plan of a study: which commands, in which order, how many faces they see, and what is complete already."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import create_augmentations
import train_byol_model
import train_model
from core_code import soft_labels
from core_code.core_utils.errors import InputError
from core_code.experiments import estimates
from core_code.experiments.__main__ import parse_arguments, settings_of
from core_code.experiments.arms import ARMS
from core_code.experiments.plan import (
    Step,
    expanded,
    generator_folder,
    image_folders,
    make_plan,
    steps_learned,
)
from core_code.experiments.presets import PRESETS, StudySettings
from core_code.experiments.runner import within
from core_code.experiments.tables import duration, plan_as_text
from EmotionGAN.editor import Editor
from EmotionGAN.learn import __main__ as learn

COUNTS = [3995, 436, 4097, 7215, 4830, 3171, 4965]
FACES = 28709
PARSERS = {
    "create_augmentations.py": create_augmentations.parse,
    "train_model.py": train_model.parse_arguments,
    "train_byol_model.py": train_byol_model.parse_arguments,
}


def plan(*flags: str) -> tuple[StudySettings, dict[str, Step]]:
    study = settings_of(parse_arguments(list(flags)))
    return study, {step.name: step for step in make_plan(study, COUNTS)}


def flags_of(step: Step) -> argparse.Namespace:
    """The step's command as its own script parses it."""
    script, *arguments = step.command
    return PARSERS[script](arguments)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_two_core_preset_gives_every_run_30_epochs_of_real_faces_at_64_px_from_random_weights():
    _, steps = plan("--preset", "two_cores")
    trainings = [step for step in steps.values() if step.kind == "training"]
    assert [step.experiment for step in trainings] == list(PRESETS["two_cores"].experiments)
    for step in trainings:
        flags = flags_of(step)
        assert (flags.net_name, flags.image_size, flags.weights) == ("resnet18", 64, "none")
        assert flags.resume is True and flags.seed == 1 and flags.exp_name == f"{step.experiment}_seed1"
        pretraining = steps.get(f"{step.name}_pretraining")
        before = flags_of(pretraining).epochs if pretraining else 0
        assert flags.epochs + 2 * before == 30 and step.amount == flags.epochs * FACES
    assert flags_of(steps["resnet18_expanded_seed1"]).faces_per_epoch == FACES
    assert flags_of(steps["resnet18_baseline_seed1"]).faces_per_epoch is None


def test_the_published_preset_is_the_published_protocol_with_all_faces_in_an_epoch():
    _, steps = plan()
    assert {step.net for step in steps.values() if step.net} == {"resnet18", "densenet201"}
    for step in steps.values():
        if step.kind == "training":
            flags = flags_of(step)
            assert (flags.epochs, flags.image_size, flags.weights) == (100, 224, "imagenet")
            assert flags.faces_per_epoch is None
    dense = flags_of(steps["densenet201_baseline_seed1"])
    assert (dense.batch_size, dense.lr, dense.weight_decay) == (32, 3e-4, 3.4e-5)
    assert flags_of(steps["augmentations"]).num_augments == 10
    assert steps["resnet18_expanded_seed1"].amount > 600 * FACES


@pytest.mark.parametrize("preset", PRESETS)
def test_every_training_and_pretraining_trains_the_whole_net(preset):
    _, steps = plan("--preset", preset)
    commands = [flags_of(step) for step in steps.values() if step.kind in ("training", "byol")]
    assert commands and all(flags.fine_tune is True for flags in commands)


def test_the_tenth_trains_on_a_tenth_of_the_faces_with_larger_crops():
    _, steps = plan("--preset", "tenth")
    for step in steps.values():
        flags = flags_of(step)
        assert flags.max_faces == 2871 == round(28_709 / 10)
        if step.kind == "training":
            assert (flags.optimizer, flags.batch_size, flags.lr, flags.epochs) == ("adam", 64, 1e-3, 24)
            assert (flags.label_smoothing, flags.smallest_crop, flags.image_size) == (0.1, 0.5, 40)
    _, steps = plan("--preset", "tenth", "--shares", "0.5")
    assert {flags_of(step).max_faces for step in steps.values()} == {14_354}


def test_the_demo_trains_three_ways_on_equally_many_faces():
    study, steps = plan("--preset", "demo", "--dataset", "sample", "--output_root", "demo", "--images_root", "demo")
    assert list(steps) == [
        "resnet18_baseline_seed1", "augmentations", "resnet18_augmented_seed1", "expansion", "resnet18_expanded_seed1",
    ]  # fmt: skip
    trainings = [flags_of(step) for step in steps.values() if step.kind == "training"]
    assert {(flags.weights, flags.image_size, flags.epochs) for flags in trainings} == {("none", 32, study.epochs)}
    assert trainings[2].faces_per_epoch == FACES, "as many as there are real faces"
    assert all(folder.parent == Path("demo") for folder in image_folders(study).values())
    _, steps = plan("--preset", "demo", "--experiments", "baseline", "byol")
    assert "resnet18_byol_seed1" in steps and "expansion" not in steps


def test_each_experiment_trains_on_its_own_images():
    study, steps = plan("--preset", "quick")
    folders = image_folders(study)
    assert folders["augmentations"] == Path("data/fer2013_augmentations")
    assert folders["expansion"] == Path("data/expanded_fer_2013")
    near_face = flags_of(steps["resnet18_augmented_face_seed1"])
    assert near_face.emotion_transform_prob == 0.8
    assert near_face.augmentations_folder == folders["augmentations_face"]
    assert flags_of(steps["augmentations_face"]).centre == "face"
    assert flags_of(steps["augmentations"]).centre == "emotion"
    assert flags_of(steps["resnet18_augmented_seed1"]).augmentations_folder == folders["augmentations"]
    assert flags_of(steps["resnet18_baseline_seed1"]).emotion_transform_prob == 0
    assert flags_of(steps["resnet18_expanded_seed1"]).use_expanded_dataset is True
    pretraining, after = steps["resnet18_byol_seed1_pretraining"], steps["resnet18_byol_seed1"]
    assert flags_of(pretraining).fine_tune is True and pretraining.needs == ("augmentations",)
    assert flags_of(after).load_byol is True and after.needs == (pretraining.name,)


def test_only_what_the_chosen_experiments_need_is_generated():
    _, steps = plan("--experiments", "baseline", "--nets", "resnet18", "--seeds", "1", "2", "2")
    assert list(steps) == ["resnet18_baseline_seed1", "resnet18_baseline_seed2"]
    _, steps = plan("--experiments", "byol", "--nets", "resnet18")
    assert next(iter(steps)) == "augmentations" and len(steps) == 3
    _, steps = plan("--experiments", "own_code", "--nets", "resnet18")
    flags = flags_of(steps["own_code"])
    assert (flags.centre, flags.neighborhood, flags.num_augments) == ("face", 0, 1)
    assert flags_of(steps["resnet18_own_code_seed1"]).augmentations_folder == Path("data/fer2013_own_code")


def test_the_shared_flags_reach_every_command():
    _, steps = plan(
        "--preset", "quick", "--dataset", "folder", "--data_root", "my faces", "--max_faces", "50", "--device", "cpu",
        "--precision", "fp32", "--output_root", "out", "--generator", "mine",
    )  # fmt: skip
    for step in steps.values():
        flags = flags_of(step)
        assert (flags.dataset, flags.data_root, flags.max_faces) == ("folder", Path("my faces"), 50)
        assert (flags.device, flags.precision, flags.output_root) == ("cpu", "fp32", Path("out"))
    assert flags_of(steps["expansion"]).generator == Path("mine")
    assert "'my faces'" in steps["expansion"].shown


def test_a_pretraining_that_leaves_no_faces_for_the_training_is_refused():
    with pytest.raises(InputError, match="--byol_epochs 2"):
        plan("--preset", "quick", "--byol_epochs", "2")


def test_a_share_without_a_face_is_refused():
    with pytest.raises(InputError, match=r"--shares 1e-05: not one of \d+ training faces"):
        plan("--preset", "quick", "--shares", "0.00001")
    assert expanded([0, 0, 0]) == 0


def test_the_size_of_an_expansion_is_that_of_its_plan():
    """Counted face by face, as SPEC words it: emotion k is left out with k's share of the training set."""
    labels = np.repeat(np.arange(7), COUNTS)
    shares = np.array(COUNTS) / FACES
    expected = sum((1 - shares[[k for k in range(7) if k != label]]).sum() for label in labels)
    assert expanded(COUNTS) == pytest.approx(expected, abs=1)


def test_the_plan_lists_commands_times_and_their_sum():
    study, steps = plan("--preset", "quick", "--experiments", "baseline")
    every, seconds = list(steps.values()), {"resnet18_baseline_seed1": 7200.0}
    text = plan_as_text(every, every, seconds, study, at_once=2)
    assert steps["resnet18_baseline_seed1"].shown in text
    (line,) = [line for line in text.splitlines() if line.startswith("| resnet18_baseline_seed1")]
    assert [cell.strip() for cell in line.strip("|").split("|")][1:] == ["28,709", "120.0", "to do"]
    assert "in all about 60 min, 2 at once" in text and "left" not in text
    text = plan_as_text(every, [], seconds, study, at_once=2)
    assert "1 step does not fit into the budget and is left for the next start (about 60 min)" in text
    assert [duration(s) for s in (5, 600, 86400 * 3)] == ["5 s", "10 min", "3.0 days"]


def test_times_come_from_a_trial_of_each_kind_of_work_with_validation(monkeypatch):
    costs = {"images": (0.1, 0), "training": (0.02, 0.01), "byol": (0.05, 0)}
    monkeypatch.setattr(estimates, "cost_of", lambda step, study: estimates.Cost(*costs[step.kind]))
    study, steps = plan("--preset", "two_cores", "--experiments", "byol")
    seconds = estimates.seconds_of(list(steps.values()), study, val_faces=3589)
    assert seconds["augmentations"] == pytest.approx(estimates.START_S + FACES * 4 * 0.1)
    epochs = 30 - 2 * PRESETS["two_cores"].byol_epochs
    expected = estimates.START_S + epochs * (FACES * 0.02 + 3589 * 0.01)
    assert seconds["resnet18_byol_seed1"] == pytest.approx(expected)
    expected = estimates.START_S + FACES * PRESETS["two_cores"].byol_epochs * 0.05
    assert seconds["resnet18_byol_seed1_pretraining"] == pytest.approx(expected)


def test_a_trial_measures_each_kind_on_the_device(small):
    study, steps = plan("--preset", "quick", "--device", "cpu", "--precision", "fp32", "--learn_generators", "--shares",
                        "0.5", "--experiments", "baseline", "augmented")  # fmt: skip
    for kind in ("training", "byol"):
        step = Step("x", (), (), kind, 100, "small", "baseline", 1, 32)
        assert 0 < estimates.cost_of(step, study).each < 1
    for name in ("generator_share0.5", "augmentations_share0.5"):
        assert 0 < estimates.cost_of(steps[name], study).each < 10


def test_on_a_cpu_what_takes_long_is_done_once(monkeypatch):
    runs = []
    for device, longest, count in (("cpu", 9.0, 4), ("cpu", 0.0, 1), ("mps", 0.0, 4)):
        monkeypatch.setattr(estimates, "ENOUGH_S", longest)
        runs.clear()
        assert estimates.shortest(lambda: runs.append(1), torch.device(device)) > 0
        assert len(runs) == count


def test_what_is_timed_is_the_recipe_of_the_study_with_its_stem(monkeypatch):
    seen = {}

    class Timed(estimates.ClassifierTask):
        def __init__(self, net, train, val, training):
            seen.update(training=training, stride=net.nn_model.conv1.stride, batch=train.batch_size)
            super().__init__(net, train, val, training)

    monkeypatch.setattr(estimates, "ClassifierTask", Timed)
    monkeypatch.setattr(estimates, "shortest", lambda work, device: 1.0)
    for preset, stride, batch in (("one_gpu", (1, 1), 32), ("two_cores", (2, 2), 32), ("published", (2, 2), 4)):
        study, steps = plan("--preset", preset, "--device", "cpu", "--experiments", "baseline", "--nets", "resnet18")
        step = steps["resnet18_baseline_seed1"]
        estimates.cost_of(step, study)
        flags = flags_of(step)
        assert seen["stride"] == stride == ((1, 1) if flags.stem == "small" else (2, 2)) and seen["batch"] == batch
        for name in (
            "optimizer",
            "lr",
            "ema",
            "mixup",
            "rotation",
            "erasing",
            "smallest_crop",
            "nesterov",
            "image_size",
        ):
            assert getattr(seen["training"], name) == getattr(flags, name), name


def test_the_budget_takes_what_fits_by_importance_so_that_pairs_stay_whole():
    study, steps = plan("--preset", "tenth", "--seeds", "1", "2")
    names = list(steps)
    assert names[:3] == [
        "resnet18_baseline_share0.1_seed1", "resnet18_baseline_share0.1_seed2", "augmentations_share0.1",
    ]  # fmt: skip
    seconds = dict.fromkeys(names, 60.0)
    assert [step.name for step in within(list(steps.values()), seconds, 301)] == names[:5]
    assert within(list(steps.values()), seconds, 10) == []
    done = [replace(step, complete=place in (0, 7)) for place, step in enumerate(steps.values())]
    seconds = {step.name: 60.0 for step in done if not step.complete}
    assert [step.name for step in within(done, seconds, 301)] == [*names[:6], names[7]]
    assert "left" in plan_as_text(done, within(done, seconds, 301), seconds, study, 1)


def test_parts_of_the_faces_have_runs_images_and_generators_of_their_own():
    _, steps = plan("--preset", "one_gpu", "--learn_generators", "--experiments", "baseline", "augmented_face")
    assert [step.name for step in steps.values()] == [
        *(f"resnet18_baseline_share0.1_seed{seed}" for seed in range(1, 6)),
        *(f"resnet18_baseline_seed{seed}" for seed in range(1, 4)),
        "generator_share0.1", "augmentations_face_share0.1",
        *(f"resnet18_augmented_face_share0.1_seed{seed}" for seed in range(1, 6)),
        "augmentations_face", *(f"resnet18_augmented_face_seed{seed}" for seed in range(1, 4)),
    ]  # fmt: skip
    tenth = round(FACES / 10)
    for step in steps.values():
        assert (step.share, step.faces) == ((0.1, tenth) if "share" in step.name else (1, FACES))
        words = list(step.command)
        assert ("--max_faces" in words) == (step.share == 0.1)
        assert step.share == 1 or words[words.index("--max_faces") + 1] == str(tenth)
    learned = steps["generator_share0.1"]
    flags = learn.parse_arguments(list(learned.command[2:]))
    assert (
        learned.command[:2] == ("-m", "EmotionGAN.learn") and learned.amount == flags.steps + flags.discriminator_steps
    )
    images = flags_of(steps["augmentations_face_share0.1"])
    assert images.generator == flags.dest / "generator" and steps["augmentations_face_share0.1"].needs == (
        learned.name,
    )
    assert flags_of(steps["augmentations_face"]).generator is None
    run = flags_of(steps["resnet18_augmented_face_share0.1_seed2"])
    assert run.augmentations_folder == images.dest_folder == Path("data/fer2013_augmentations_face_share0.1")
    assert (run.recipe, run.stem, run.ema, run.image_size) == ("scratch", "small", 0.999, 48)
    _, shipped = plan("--preset", "one_gpu", "--experiments", "augmented_face")
    assert "generator_share0.1" not in shipped


def test_all_faces_may_have_epochs_of_their_own():
    experiments = ("--experiments", "baseline", "byol", "baseline_soft")
    _, steps = plan("--preset", "tenth", "--shares", "0.1", "1", *experiments)
    epochs = {name: flags_of(step).epochs for name, step in steps.items() if step.kind == "training"}
    assert epochs == {
        "resnet18_baseline_share0.1_seed1": 24, "resnet18_baseline_seed1": 10,
        "resnet18_byol_share0.1_seed1": 24 - 2 * 4, "resnet18_byol_seed1": 10 - 2 * 4,
        "resnet18_baseline_soft_share0.1_seed1": 24, "resnet18_baseline_soft_seed1": 10,
    }  # fmt: skip
    for name, expected in (("resnet18_soft_labels", 10), ("resnet18_soft_labels_share0.1", 24)):
        assert soft_labels.parse_arguments(list(steps[name].command[2:])).epochs == expected
    assert steps["resnet18_baseline_seed1"].amount == 10 * FACES
    for given in ("--whole_epochs", "--epochs"):
        _, steps = plan("--preset", "tenth", "--shares", "1", given, "12", *experiments)
        assert steps["resnet18_baseline_seed1"].amount == 12 * FACES


@pytest.mark.parametrize("preset", ["one_gpu", "tenth"])
def test_a_generator_of_a_part_paints_as_the_included_one_does(preset):
    _, steps = plan("--preset", preset, "--learn_generators", "--experiments", "augmented")
    flags, included = learn.parse_arguments(list(steps["generator_share0.1"].command[2:])), Editor.load()
    for name in ("paint_blur", "paint_highpass", "paint_gain", "paint_soft"):
        assert getattr(flags, name) == getattr(included.generator.config, name), name


def test_a_generator_is_complete_with_its_last_step():
    flags = ("--preset", "quick", "--shares", "0.5", "--learn_generators", "--experiments", "augmented")
    study, _ = plan(*flags)
    log = generator_folder(study, 0.5) / "learning.jsonl"
    log.parent.mkdir(parents=True)
    for line, complete in (('{"step": 3}', False), ('{"step": 5}', True), ('{"st', False)):
        log.write_text('{"step": 1}\n' + line + "\n")
        assert (steps_learned(log.parent) >= plan(*flags)[1]["generator_share0.5"].amount) is complete


def test_soft_labels_come_from_one_set_of_teachers_a_part_and_from_images_one_after_the_other():
    _, steps = plan("--preset", "one_gpu", "--shares", "0.1", "--seeds", "1", "--experiments", "expanded_soft",
                    "baseline_soft", "augmented_face_soft", "elastic_soft")  # fmt: skip
    assert list(steps) == [
        "expansion_share0.1", "resnet18_soft_labels_share0.1", "resnet18_soft_labels_expansion_share0.1",
        "resnet18_expanded_soft_share0.1_seed1", "resnet18_baseline_soft_share0.1_seed1",
        "augmentations_face_share0.1", "resnet18_soft_labels_augmentations_face_share0.1",
        "resnet18_augmented_face_soft_share0.1_seed1", "resnet18_elastic_soft_share0.1_seed1",
    ]  # fmt: skip
    labels = [step for step in steps.values() if step.kind == "labels"]
    assert [step.needs for step in labels] == [
        (), (labels[0].name, "expansion_share0.1"), (labels[1].name, "augmentations_face_share0.1"),
    ]  # fmt: skip
    flags = [soft_labels.parse_arguments(list(step.command[2:])) for step in labels]
    for found in flags:
        assert (found.exp_name, found.resume, found.folds, found.ensemble) == ("teachers_share0.1", True, 5, 3)
        assert (found.max_faces, found.recipe, found.epochs, found.stem) == (2871, "scratch", 60, "small")
    assert flags[1].expanded_folder == Path("data/expanded_fer_2013_share0.1") and not flags[1].augmentations_folder
    assert flags[2].augmentations_folder == Path("data/fer2013_augmentations_face_share0.1")
    assert [step.amount for step in labels] == [5 * 3 * 60 * 2871 * 4 // 5, 0, 0]
    trained = [flags_of(step).soft_labels for step in steps.values() if step.kind == "training"]
    assert trained == [flags[1].dest, flags[0].dest, flags[2].dest, flags[0].dest]
    expanded_soft = steps["resnet18_expanded_soft_share0.1_seed1"]
    assert expanded_soft.needs == ("expansion_share0.1", labels[1].name)


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_is_the_baseline_but_for_what_its_name_tells(name):
    _, steps = plan("--preset", "two_cores", "--experiments", name)
    (training,) = [step for step in steps.values() if step.kind == "training"]
    flags = flags_of(training)
    assert flags.use_expanded_dataset is name.startswith("expanded")
    assert flags.emotion_transform_prob == (0.8 if name.startswith(("augmented", "own_code")) else
                                            None if name.startswith("expanded") else 0)  # fmt: skip
    assert (flags.soft_labels is not None) == name.endswith("_soft")
    assert flags.real_only_last == (0.2 if name.endswith("_then_real") else 0)
    assert flags.synthetic_norms is name.endswith("_norms")
    assert flags.class_shares == ("expanded" if name == "oversampled" else "own")
    assert flags.elastic == (50 if name.startswith("elastic") else 0) and flags.load_byol is (name == "byol")
    assert all(control in ARMS for control in ARMS[name].control_of)
