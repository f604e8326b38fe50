#!/bin/sh
# Prints who the primary is: what most Sentinels say, else what this pod last knew, else the first pod.
# Given: PEERS (host names, the first pod first), DATA (this pod's folder).
set -eu
said=$(
  for peer in ${PEERS}; do
    timeout 2 valkey-cli -h "${peer}" -p "${SENTINEL_PORT:-26379}" sentinel get-master-addr-by-name primary 2>/dev/null |
      head -n 1
  done | sort | uniq -c | sort -rn | awk 'NR == 1 && $1 >= 2 { print $2 }'
)
if [ -n "${said}" ]; then
  echo "${said}"
elif [ -f "${DATA}/sentinel.conf" ]; then
  awk '$1 == "sentinel" && $2 == "monitor" { gsub(/"/, "", $4); print $4 }' "${DATA}/sentinel.conf"
else
  echo "${PEERS%% *}"
fi
