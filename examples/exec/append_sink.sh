#!/bin/sh
# A sink for herdsman's ExecSink: each record, as the JSON that tells of it, becomes a line of a file.
#
#     connector.class=ExecSink
#     command=/opt/connectors/append_sink.sh
#     topics=lines
#     environment.OUT=/var/lib/app/records.jsonl

echo '{"ready":{}}' >&"$HERDSMAN_WRITE_FD"
while read -r line <&"$HERDSMAN_READ_FD"; do
    case $line in
        '{"record":{"id":'*)
            printf '%s\n' "$line" >>"$OUT"
            id=${line#'{"record":{"id":'}
            echo "{\"ack\":{\"ids\":[${id%%,*}]}}" >&"$HERDSMAN_WRITE_FD"
            ;;
        '{"stop":'*) exit 0 ;;
    esac
done
