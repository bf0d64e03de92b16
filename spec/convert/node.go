package convert

import (
	"slices"
	"strconv"
	"strings"
)

// kind is what a node is.
type kind int

const (
	scalar kind = iota
	mapping
	list
	nothing // null
)

func (k kind) String() string {
	return [...]string{"a value", "keys and values", "a list", "nothing"}[k]
}

// node is a value of a manifest and where it is. It knows what became of it:
// what nobody took or left by the end is named by rest, so that no key can be
// forgotten. All methods take a nil node for one that is not there.
type node struct {
	place // of the key that names it, else its own
	m     *manifest
	path  string // services[0].run
	name  string // key, of an entry of a mapping
	kind  kind
	tag   string // of YAML
	text  string // of a scalar, as it was written
	// repeated is true for what has a YAML anchor: it is (also) read elsewhere.
	repeated bool
	children []*node
	byName   map[string]*node // the same, of a mapping
	use      use
}

// use is what has become of a node.
type use int

const (
	unused use = iota
	taken      // in the result, with everything below it
	left       // named in Unmapped, with everything below it
)

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// put adds a child. Of a key that is there twice, as JSON allows, the last one
// counts.
func (n *node) put(child *node) {
	if n.kind == mapping {
		if first := n.byName[child.name]; first != nil {
			first.leave("is here twice, and line %d counts", child.line)
			n.children = slices.DeleteFunc(n.children, func(c *node) bool { return c == first })
		}
		if n.byName == nil {
			n.byName = map[string]*node{}
		}
		n.byName[child.name] = child
	}
	n.children = append(n.children, child)
}

// at returns the child with that name, or nil.
func (n *node) at(name string) *node {
	if n == nil {
		return nil
	}
	return n.byName[name]
}

// entries returns the children of a mapping; a node of another kind is named.
func (n *node) entries() []*node { return n.childrenOf(mapping) }

// items returns the children of a list; a node of another kind is named.
func (n *node) items() []*node { return n.childrenOf(list) }

func (n *node) childrenOf(k kind) []*node {
	switch {
	case n == nil:
		return nil
	case n.kind != k && n.kind != nothing:
		n.leave("want %s, got %s", k, n.kind)
		return nil
	case len(n.children) == 0:
		n.use = taken // it says nothing
	}
	return n.children
}

// take says that n is in the result, with everything below it.
func (n *node) take() {
	if n != nil {
		n.use = taken
	}
}

// leave names n, with everything below it, as not mapped.
func (n *node) leave(format string, args ...any) {
	if n != nil {
		n.use = left
		n.note(format, args...)
	}
}

// note names n although (some of) it is in the result.
func (n *node) note(format string, args ...any) { n.m.say(n.place, n.path, format, args...) }

// leaveAll names the children that are in reasons and of which nothing was used.
func (n *node) leaveAll(reasons map[string]string) {
	if n == nil || n.use != unused {
		return
	}
	for _, child := range n.children {
		if reason, ok := reasons[child.name]; ok && child.untouched() {
			child.leave("%s", reason)
		}
	}
}

// string takes n as text. What is there but is no text is named.
func (n *node) string() (text string, ok bool) {
	switch {
	case n == nil:
		return "", false
	case n.kind == nothing:
		n.leave("says nothing")
		return "", false
	case n.kind != scalar:
		n.leave("want text, got %s", n.kind)
		return "", false
	case strings.HasPrefix(n.tag, "!") && !strings.HasPrefix(n.tag, "!!") || n.tag == "!!binary":
		n.leave("has the YAML tag %s, whose value is not known here", n.tag)
		return "", false
	case strings.ContainsRune(n.text, 0):
		n.leave("holds a NUL character, which no environment can")
		return "", false
	}
	n.use = taken
	return n.text, true
}

// textOnly returns the text of n without taking it; empty if it has none.
func (n *node) textOnly() string {
	if n == nil || n.kind != scalar {
		return ""
	}
	return n.text
}

// whole takes n as a whole number that is not negative.
func (n *node) whole() (number int, ok bool) {
	text, ok := n.string()
	if !ok {
		return 0, false
	}
	number, err := strconv.Atoi(text)
	if err != nil || number < 0 {
		n.leave("want a whole number, got %q", text)
		return 0, false
	}
	return number, true
}

// flag takes n as true or false.
func (n *node) flag() (value, ok bool) {
	text, ok := n.string()
	if !ok {
		return false, false
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		n.leave("want true or false, got %q", text)
	}
	return value, err == nil
}

// untouched reports whether neither n nor anything below it was used.
func (n *node) untouched() bool {
	return n.use == unused && !slices.ContainsFunc(n.children, func(c *node) bool { return !c.untouched() })
}

// rest names everything below n that was neither taken nor left.
func (n *node) rest() {
	for _, child := range n.children {
		switch {
		case child.use != unused:
		case !child.untouched():
			child.rest()
		case child.repeated:
			child.leave("not known; what repeats it by an alias is read there")
		default:
			child.leave("not known")
		}
	}
}

// refuseCredentials records a mistake for every value below n that seems to be
// a secret, but below the keys that hold prose.
func (n *node) refuseCredentials(prose ...string) {
	for _, child := range n.children {
		if slices.Contains(prose, child.name) {
			continue
		}
		if what, found := n.m.credential(child.text); found {
			n.m.refuse(child.place, child.path, what)
		}
		child.refuseCredentials(prose...)
	}
}

// refuse records a committed secret, without repeating it.
func (c *conversion) refuse(at place, key, what string) {
	c.fail(at, "%s: holds what looks like %s, which everyone with the repository can read: remove it, replace the secret, for it is known now, and refer to the new one in secrets",
		key, what)
}
