# The tests: wait for the service by its name, ask it, and say by the exit code how it went.
tries=0
until answer="$(wget -q -O - http://db:5432/answer 2>/dev/null)"; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { echo "db does not answer"; exit 2; }
    sleep 0.1
done
echo "db says $answer, expected $EXPECT"
[ "$answer" = "$EXPECT" ]
