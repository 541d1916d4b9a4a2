#!/bin/sh
# The page: a form, and what `book` has, newest first.
printf 'Content-Type: text/html; charset=utf-8\r\n\r\n'
cat /srv/head.html

# The value of a field of an encoded form, safe to put into a page.
field() {
    value="${entry#*"$1"=}"
    httpd -e "$(httpd -d "${value%%&*}")"
}

if entries="$(wget -q -O - http://book/ 2>/dev/null)"; then
    printf '%s\n' "$entries" | sed '1!G;h;$!d' | head -n 50 | while read -r entry; do
        [ -z "$entry" ] || printf '<li><b>%s</b> %s</li>\n' "$(field name)" "$(field text)"
    done
else
    echo '<li>book does not answer</li>'
fi
echo '</ul></main></html>'
