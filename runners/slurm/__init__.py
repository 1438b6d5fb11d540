"""A Flink cluster inside a SLURM job: the sbatch script, and the commands around it."""
