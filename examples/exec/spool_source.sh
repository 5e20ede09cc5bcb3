#!/bin/sh
# A source for herdsman's ExecSource: each file in a folder becomes a record, and is removed when Kafka has it.
#
#     connector.class=ExecSource
#     command=/opt/connectors/spool_source.sh
#     topic=spool
#     environment.SPOOL=/var/spool/app
#
# Files are to be moved into the folder, so that they are whole. What is in them must be one line.

: "${SPOOL:?environment.SPOOL names no folder}"
read -r start <&"$HERDSMAN_READ_FD"
echo "begins with $start"
echo '{"ready":{}}' >&"$HERDSMAN_WRITE_FD"

id=0
while :; do
    for file in "$SPOOL"/*; do
        [ -f "$file" ] || continue
        id=$((id + 1))
        text=$(sed 's/[\\"]/\\&/g' "$file")
        printf '{"record":{"id":%d,"value":"%s"}}\n' "$id" "$text" >&"$HERDSMAN_WRITE_FD"
        # Only this record waits, so the next line is about it, or it is the end.
        read -r line <&"$HERDSMAN_READ_FD" || exit 0
        case $line in
            *'"stop"'*) exit 0 ;;
            *'"ack"'*"[$id]"*) rm -- "$file" ;;
            *) echo "not delivered: $file" ;;
        esac
    done
    sleep 1
done
