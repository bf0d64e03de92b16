// What this commit shows. A deploy is a change of a file like this one.
module.exports = "v1";
