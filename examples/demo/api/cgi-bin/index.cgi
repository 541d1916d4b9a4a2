#!/bin/sh
# One byte for each visit: appending is atomic, so both replicas write to the file without a lock.
printf . >>/home/app/visits
visits="$(stat -c %s /home/app/visits)"
# The network knows every container by its name, also the other way round.
replica="$(nslookup "$(hostname -i)" | sed -n 's/.*name = \([^.]*\).*/\1/p')"
printf 'Content-Type: application/json\r\n\r\n{"replica": "%s", "visits": %s}\n' "$replica" "$visits"
