"""The Optuna search for hyper-parameters: objective, space, storage, files, results, workers."""
