package convert

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/inhaul/inhaul/spec"
)

// level is a level of the inhaul.yaml that is being written.
type level struct {
	entries []*entry
	byName  map[string]*entry
}

// entry is a key of a level and its value: string, int, bool, []string or
// *level; an empty level is not written.
type entry struct {
	name  string
	value any
	place        // what it was made from
	above string // comment, in lines
	after string // comment on the same line
}

// set gives a key its value, once more if it has one.
func (l *level) set(name string, value any, from place) *entry {
	e := l.byName[name]
	if e == nil {
		e = &entry{name: name}
		l.add(e)
	}
	e.value, e.place = value, from
	return e
}

func (l *level) add(e *entry) {
	if l.byName == nil {
		l.byName = map[string]*entry{}
	}
	l.byName[e.name] = e
	l.entries = append(l.entries, e)
}

// sub returns the level below a key, a new one if there is none.
func (l *level) sub(name string, from place) *level {
	if e := l.byName[name]; e != nil {
		if below, ok := e.value.(*level); ok {
			return below
		}
	}
	below := &level{}
	l.set(name, below, from)
	return below
}

// draft is an app that is being written.
type draft struct {
	name      string
	named     place
	about     string // comment on the name
	build     level
	env       level
	secrets   level
	predeploy level
	services  level
	databases level
	seed      level
	teardown  level
	preview   level // environments.preview
	whole     level // keys of the app that are no levels
}

// level returns what the app says but its name, in the order in which
// inhaul.yaml is read best.
func (d *draft) level() *level {
	for _, e := range d.services.entries {
		if service, ok := e.value.(*level); ok {
			service.sort()
		}
	}
	l := &level{}
	for _, part := range []struct {
		key   string
		level *level
	}{
		{"build", &d.build},
		{"env", &d.env},
		{"secrets", &d.secrets},
		{"predeploy", &d.predeploy},
		{"services", &d.services},
		{"databases", &d.databases},
		{"seed", &d.seed},
		{"teardown", &d.teardown},
	} {
		if len(part.level.entries) > 0 {
			l.set(part.key, part.level, part.level.entries[0].place)
		}
	}
	for _, e := range d.whole.entries {
		l.add(e)
	}
	if len(d.preview.entries) > 0 {
		at := d.preview.entries[0].place
		environments := l.sub("environments", at)
		environments.sub("production", at).set("branch", "main", at) // what a file without environments means
		environments.set("preview", &d.preview, at)
	}
	return l
}

// sort puts the keys of a service into the order in which it is read best.
func (l *level) sort() {
	order := strings.Fields("type run port schedule timezone overlap deadline replicas scale size cpu memory health grace domains paths public env secrets")
	slices.SortStableFunc(l.entries, func(a, b *entry) int {
		return cmp.Compare(slices.Index(order, a.name), slices.Index(order, b.name))
	})
}

// write returns the inhaul.yaml of the apps; what spec finds wrong in it is a
// mistake in the file that it came from.
func (c *conversion) write(apps []*draft) []byte {
	if len(c.errs) > 0 || len(apps) == 0 {
		return nil
	}
	root := &level{}
	if len(apps) == 1 {
		app := apps[0]
		root.set("app", app.name, app.named).above = app.about
		for _, e := range app.level().entries {
			root.add(e)
		}
	} else {
		all := root.sub("apps", apps[0].named)
		for _, app := range apps {
			all.set(app.name, app.level(), app.named).above = app.about
		}
	}
	var places []place
	tree := root.yaml(&places)
	document := &yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{tree}}
	document.HeadComment = "# Made from " + strings.Join(c.from, " and ") + " by `inhaul convert`, which also lists what it could not say here.\n"
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(document), encoder.Close()); err != nil {
		c.fail(apps[0].named, "writing it as inhaul.yaml: %v", err)
		return nil
	}
	c.check(out.Bytes(), places)
	return out.Bytes()
}

// check parses what was written and records the mistakes at the places that
// they come from: places has one for every key and value, as they are written.
func (c *conversion) check(text []byte, places []place) {
	_, err := spec.ParseAll(inhaulFile, text)
	mistakes, ok := errors.AsType[spec.Errors](err)
	if err == nil || !ok {
		return
	}
	var written yaml.Node
	if err := yaml.Unmarshal(text, &written); err != nil {
		c.fail(places[0], "as inhaul.yaml: %v", err)
		return
	}
	positions := flatten(&written, nil)
	for _, mistake := range mistakes {
		at := places[0]
		for i, p := range positions {
			if cmp.Or(cmp.Compare(p.line, mistake.Line), cmp.Compare(p.column, mistake.Column)) > 0 {
				break
			}
			at = places[min(i, len(places)-1)]
		}
		c.fail(at, "as inhaul.yaml: %s", mistake.Message)
	}
}

// flatten returns the places of all keys and values below n in their order.
func flatten(n *yaml.Node, places []place) []place {
	if n.Kind != yaml.DocumentNode {
		places = append(places, place{inhaulFile, n.Line, n.Column})
	}
	for _, child := range n.Content {
		places = flatten(child, places)
	}
	return places
}

// yaml returns the level as YAML, and appends where each of its keys and values
// comes from, in the order of flatten.
func (l *level) yaml(places *[]place) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	first := place{}
	if len(l.entries) > 0 {
		first = l.entries[0].place
	}
	*places = append(*places, first)
	for _, e := range l.entries {
		if below, ok := e.value.(*level); ok && len(below.entries) == 0 {
			continue
		}
		*places = append(*places, e.place)
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: e.name, HeadComment: comment(e.above)})
		value := &yaml.Node{}
		switch v := e.value.(type) {
		case *level:
			value = v.yaml(places)
		case []string:
			_ = value.Encode(v) // strings cannot fail
			for range len(v) + 1 {
				*places = append(*places, e.place)
			}
			value.LineComment = comment(e.after)
		default:
			_ = value.Encode(v) // nor can scalars
			*places = append(*places, e.place)
			value.LineComment = comment(e.after)
		}
		n.Content = append(n.Content, value)
	}
	return n
}

// comment returns text as a comment of YAML, without characters that a file may
// not hold.
func comment(text string) string {
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		printable := strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return ' '
			}
			return r
		}, line)
		lines[i] = strings.TrimRight("# "+strings.Join(strings.Fields(printable), " "), " ")
	}
	return strings.Join(lines, "\n")
}
