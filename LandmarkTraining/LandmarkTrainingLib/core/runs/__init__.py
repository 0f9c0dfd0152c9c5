"""What a training run stands on: its folder, its process, checkpoints, logs and recipes."""
