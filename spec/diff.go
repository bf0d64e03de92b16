package spec

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// ChangeKind says how something changed.
type ChangeKind string

// How something changed.
const (
	Added   ChangeKind = "added"   // Old is empty
	Removed ChangeKind = "removed" // New is empty
	Changed ChangeKind = "changed" // Old and New differ
)

// Change is one difference between two apps. Path is in the words of
// inhaul.yaml, "services.web.replicas". Old and New are for people: long ones
// are cut around the first character in which they differ.
type Change struct {
	Path     string
	Old, New string
	Kind     ChangeKind
}

// Words returns c for people: its sign ("+", "-" or "~"), and what came, went or
// changed. shown is how a value is shown.
func (c Change) Words(shown func(string) string) (sign, value string) {
	switch c.Kind {
	case Added:
		return "+", shown(c.New)
	case Removed:
		return "-", shown(c.Old)
	case Changed:
	}
	return "~", shown(c.Old) + " → " + shown(c.New)
}

// Diff returns what changes on the way from one App to another, service by
// service and then what all of them share, in the same order every time; nothing
// if releases of both would say the same. A service or task that only one of them
// has is listed with all that it says. Diff(to, from) has the same lines, turned
// around.
func Diff(from, to App) []Change {
	was, is := facts(from), facts(to)
	var changes []Change
	for _, key := range union(was, is) {
		before, existed := was[key]
		after, exists := is[key]
		switch {
		case !existed:
			changes = append(changes, after.all(Added)...)
		case !exists:
			changes = append(changes, before.all(Removed)...)
		default:
			changes = append(changes, before.compare(after)...)
		}
	}
	return changes
}

// place is where a fact stands among the others; nothing else has the same.
type place struct {
	part    int    // services first, then what they share
	service string // empty: of the app
	rank    int    // of the field, in the order of reading
	path    string
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.part, q.part), strings.Compare(p.service, q.service),
		cmp.Compare(p.rank, q.rank), strings.Compare(p.path, q.path))
}

// union returns the places of both, in order.
func union(was, is map[place]fact) []place {
	places := maps.Clone(was)
	maps.Copy(places, is)
	return slices.SortedFunc(maps.Keys(places), place.compare)
}

// fact is one thing that an app says.
type fact struct {
	path  string
	inner string // path of a change of the value, if it is another one
	value string
	items []string // of a list, whose items come and go one by one; instead of value
}

// all returns the fact as something that came, or went, as a whole.
func (f fact) all(kind ChangeKind) []Change {
	items := f.items
	if items == nil {
		items = []string{f.value}
	}
	changes := make([]Change, len(items))
	for i, item := range items {
		changes[i] = Change{Path: f.path, Kind: kind}
		if kind == Added {
			_, changes[i].New = shorten("", item)
		} else {
			changes[i].Old, _ = shorten(item, "")
		}
	}
	return changes
}

// compare returns what makes g out of f, which have the same place.
func (f fact) compare(g fact) []Change {
	changed := Change{Path: cmp.Or(f.inner, f.path), Kind: Changed}
	if f.items == nil {
		if f.value == g.value {
			return nil
		}
		changed.Old, changed.New = shorten(f.value, g.value)
		return []Change{changed}
	}
	if slices.Equal(f.items, g.items) {
		return nil
	}
	var changes []Change
	if gone := without(f.items, g.items); len(gone) > 0 {
		changes = fact{path: f.path, items: gone}.all(Removed)
	}
	if came := without(g.items, f.items); len(came) > 0 {
		changes = append(changes, fact{path: f.path, items: came}.all(Added)...)
	}
	if changes == nil { // the same ones in another order
		changed.Old, changed.New = shorten(strings.Join(f.items, ", "), strings.Join(g.items, ", "))
		return []Change{changed}
	}
	return changes
}

// without returns the items that the others do not have, each as often as it
// is missing there.
func without(items, others []string) []string {
	count := make(map[string]int)
	for _, other := range others {
		count[other]++
	}
	var missing []string
	for _, item := range items {
		if count[item]--; count[item] < 0 {
			missing = append(missing, item)
		}
	}
	return missing
}

// How much of a value is shown, in characters.
const (
	maxShown  = 60
	leadShown = 20 // before the first difference
)

// shorten cuts both texts to the same window, in which they differ if they
// differ at all.
func shorten(before, after string) (shortBefore, shortAfter string) {
	o, n := []rune(before), []rune(after)
	if len(o) <= maxShown && len(n) <= maxShown {
		return before, after
	}
	same := 0
	for same < len(o) && same < len(n) && o[same] == n[same] {
		same++
	}
	start := max(0, same-leadShown)
	return window(o, start), window(n, start)
}

// window is what is shown of text from start on.
func window(text []rune, start int) string {
	end := min(len(text), start+maxShown)
	shown := string(text[start:end])
	if start > 0 {
		shown = "…" + shown
	}
	if end < len(text) {
		shown += "…"
	}
	return shown
}
