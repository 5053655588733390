PYTHON ?= python3
RUN = .venv/bin/python
OUT = demo_output
# Small enough for two cores: views of 32 px, few epochs, random weights.
TRAIN = $(RUN) train_model.py --net_name resnet18 --dataset sample --image_size 32 --weights none --batch_size 64 --output_root $(OUT)

.PHONY: demo test test-all lint clean

demo: .venv/ready
	$(RUN) create_augmentations.py --dataset sample --num_augments 2 --dest_folder $(OUT)/augmentations --output_root $(OUT)
	$(RUN) create_augmentations.py --dataset sample --expand_dataset True --max_faces 1000 --dest_folder $(OUT)/expanded --output_root $(OUT)
	$(TRAIN) --exp_name baseline --emotion_transform_prob 0 --epochs 6
	$(TRAIN) --exp_name augmented --emotion_transform_prob 0.5 --augmentations_folder $(OUT)/augmentations --epochs 6
	$(TRAIN) --exp_name expanded --use_expanded_dataset True --expanded_folder $(OUT)/expanded --epochs 1
	$(RUN) -m core_code.evaluate --net_name resnet18 --exp_names baseline augmented expanded --dataset sample --output_root $(OUT)
	@echo "pictures: $(OUT)/plots_output"

test: .venv/ready-dev
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2

# those marked slow too: more than fifty more kills, and faults that take processes of their own
test-all: .venv/ready-dev
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 -m ""

lint: .venv/ready-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

.venv/ready: requirements.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/ready-dev: .venv/ready requirements-dev.txt
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

clean:
	rm -rf .venv $(OUT)
