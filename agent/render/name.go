package render

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxLabel is how long a DNS label may be, and a label's value too.
//
// https://datatracker.ietf.org/doc/html/rfc1123#section-2.1
const maxLabel = 63

// nameHashLength is how many hex digits tell two cut names apart.
const nameHashLength = 8

// Name is the name of the objects of one service of an app: a DNS label that a
// Service may have too. A name that is too long is cut and ends with a hash of
// the whole.
func Name(app, service string) string { return label(app + "-" + service) }

// Label is the value that a name has in the labels of objects.
func Label(name string) string { return label(name) }

// PolicyName is the name of the NetworkPolicy that keeps an app's pods to their
// namespace. No service can have an object of that name: it has a dot.
func PolicyName(app string) string { return label(app) + ".default" }

// label turns any text into a DNS label that begins with a letter (RFC 1035, as
// Services want it).
func label(text string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else {
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String(), "-")
	if name == "" || name[0] < 'a' {
		name = strings.TrimSuffix("x-"+name, "-")
	}
	if len(name) <= maxLabel {
		return name
	}
	head := strings.TrimRight(name[:maxLabel-nameHashLength-1], "-")
	return head + "-" + hash(nameHashLength, text)
}

// hash is the beginning of the SHA-256 of parts, in hex; parts are kept apart,
// so that moving a letter from one to the next is seen.
func hash(length int, parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))[:length]
}
