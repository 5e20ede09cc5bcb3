#!/bin/sh
# A sink for herdsman's ExecSink: each record, as the JSON that tells of it, becomes a line of a file.
#
#     connector.class=ExecSink
#     command=/opt/connectors/append_sink.sh
#     topics=lines
#     environment.OUT=/var/lib/app/records.jsonl

: "${OUT:?environment.OUT names no file}"
echo '{"ready":{}}' >&"$HERDSMAN_WRITE_FD"
while read -r line <&"$HERDSMAN_READ_FD"; do
    case $line in
        '{"record":{"id":'*)
            # What could not be written must not be acknowledged: the worker starts the program again, and the record comes
            # once more.
            printf '%s\n' "$line" >>"$OUT" || exit 1
            id=${line#'{"record":{"id":'}
            echo "{\"ack\":{\"ids\":[${id%%,*}]}}" >&"$HERDSMAN_WRITE_FD"
            ;;
        '{"stop":'*) exit 0 ;;
    esac
done
