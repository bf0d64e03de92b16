package convert

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
)

// maxLabel is how long inhaul.yaml lets a name be, in characters.
const maxLabel = 40

// Name returns text as the name that Named gives an app whose files give it none.
func Name(text string) string { return cmp.Or(label(text), DefaultName) }

// label returns text as a name that inhaul.yaml takes: a DNS label of at most
// 40 characters; empty if nothing is left of it.
func label(text string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9' && b.Len() > 0:
			b.WriteRune(r)
		case r >= '0' && r <= '9':
			b.WriteString("n" + string(r)) // a letter comes first
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= maxLabel {
			break
		}
	}
	return strings.Trim(b.String()[:min(b.Len(), maxLabel)], "-")
}

// free returns name, or name-2 and so on if l has an entry of that name.
func (l *level) free(name string) string {
	if l.byName[name] == nil {
		return name
	}
	i := 2
	if len(l.entries) > 100 {
		i = len(l.entries) // too many to try each
	}
	for ; ; i++ {
		suffix := "-" + strconv.Itoa(i)
		candidate := strings.TrimRight(name[:min(len(name), maxLabel-len(suffix))], "-") + suffix
		if l.byName[candidate] == nil {
			return candidate
		}
	}
}

// isVariable reports whether an environment variable of inhaul.yaml can have
// that name.
func isVariable(name string) bool {
	return len(name) <= 256 && variableName.MatchString(name)
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// appName gives the app the name that n has, made valid, or else the fallback.
func (d *draft) appName(c *conversion, n *node, from place) {
	text, _ := n.string()
	d.name, d.named = label(text), from
	if n != nil {
		d.named = n.place
	}
	if d.name == "" {
		d.name = c.fallback
	}
	switch {
	case text == "":
		d.about = "The files say no name."
	case d.name != text:
		n.note("an app has at most %d lower-case letters, digits and hyphens in its name, so it is %s here", maxLabel, d.name)
	}
}

// secret refers a variable to the key of that name in the Secret of the app.
func (d *draft) secret(to *level, name string, from place) *entry {
	return to.set(name, "k8s://"+d.name+"#"+name, from)
}

// makeSecret is what a person has to do for a secret that refers to the
// cluster.
func (d *draft) makeSecret(name string) string {
	return "make the Secret " + d.name + " with the key " + name + " in the namespace of every environment, or refer to where it is kept"
}
