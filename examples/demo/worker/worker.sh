# Asks the API every few seconds and logs what it says.
while :; do
    wget -q -O - http://api/ 2>/dev/null || echo "no API answers"
    sleep "$EVERY"
done
