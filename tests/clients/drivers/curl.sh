# Prints what `follow` prints: $1 is the URL, $2 an id or nothing, the rest is for curl.
source ./snippet.sh
url=$1
id=$2
shift 2
follow "$url" ${id:+"$id"} -- "$@"
