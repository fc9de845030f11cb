# Prints the output of `follow`. $1 is the URL, $2 an id or empty, and the rest are curl options.
source ./snippet.sh
url=$1
id=$2
shift 2
follow "$url" ${id:+"$id"} -- "$@"
