#!/bin/sh
# GET gives all entries, a line each, newest last; POST adds one. They stay as the browser encoded them.
if [ "$REQUEST_METHOD" = POST ]; then
    entry="$(head -c "${CONTENT_LENGTH:-0}" | head -c 2000)"
    case "$entry" in
        *[!A-Za-z0-9%+._*\&=-]* | "") ;;
        *) printf '%s\n' "$entry" >>/data/entries ;;
    esac
fi
printf 'Content-Type: text/plain\r\n\r\n'
[ ! -e /data/entries ] || cat /data/entries
