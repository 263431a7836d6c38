#!/bin/bash
# One index, built by eight tasks of a Slurm array, each with one GPU:
#
#   sbatch examples/cluster/slurm.sh                     (with what stands below)
#   MODEL=… SAE=… DATASET=… OUT=… sbatch examples/cluster/slurm.sh
#   MODEL=… SAE=… TEXT=file.txt OUT=… sbatch examples/cluster/slurm.sh
#
# The tasks know of each other by the files in $OUT alone, so it must be a folder that all nodes see. They may start one
# after the other; a task that is killed is started again (--requeue), and what it owes is done meanwhile by those that
# wait. More tasks, or fewer, of a second sbatch go on with what is there.
#SBATCH --job-name=sae-vis
#SBATCH --array=0-7
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=64G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --output=sae-vis-%A-%a.log
set -euo pipefail

MODEL=${MODEL:-google/gemma-2-2b}
SAE=${SAE:-google/gemma-scope-2b-pt-res:layer_12/width_16k/average_l0_82}
DATASET=${DATASET:-monology/pile-uncopyrighted}
TOKENS=${TOKENS:-10000000}
OUT=${OUT:-$PWD/my-index}
DEVICE=${DEVICE:-cuda}
SEQ_LEN=${SEQ_LEN:-1024}
text=(--dataset "$DATASET" --tokens "$TOKENS")
if [[ -n ${TEXT:-} ]]; then text=(--text "$TEXT"); fi

export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
exec srun sae-vis index \
  --model "$MODEL" --sae "$SAE" "${text[@]}" --seq-len "$SEQ_LEN" \
  --device "$DEVICE" --out "$OUT" \
  --rank "$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN))" --world "$SLURM_ARRAY_TASK_COUNT" --stall 1800
