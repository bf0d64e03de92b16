package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// resource is how much CPU and memory a process has.
type resource struct{ cpu, memory string }

// sizes returns what the names of Heroku's dynos stand for.
//
// https://devcenter.heroku.com/articles/dyno-sizes
func sizes() map[string]resource {
	all := make(map[string]resource)
	for _, s := range []struct {
		names string
		resource
	}{
		{"eco basic free hobby standard-1x 1x", resource{"250m", "512Mi"}},
		{"standard-2x 2x private-s shield-s", resource{"500m", "1Gi"}},
		{"performance-m private-m shield-m", resource{"2", "2560Mi"}},
		{"performance-l private-l shield-l", resource{"8", "14Gi"}},
		{"performance-l-ram private-l-ram", resource{"4", "30Gi"}},
		{"performance-xl", resource{"8", "62Gi"}},
		{"performance-2xl", resource{"16", "126Gi"}},
	} {
		for name := range strings.FieldsSeq(s.names) {
			all[name] = s.resource
		}
	}
	return all
}

// size is a value of the name of a Heroku dyno, in any case.
func size() value[string] {
	names := slices.Sorted(maps.Keys(sizes()))
	return value[string]{
		shape: shape{words: "name of a Heroku dyno", schema: func(*schema) object {
			return object{"anyOf": []object{{"enum": names}, {"type": "string", "pattern": anyCase(names)}}}
		}},
		parse: func(p *parser, e entry) string {
			text := p.text(e)
			name := strings.ToLower(text)
			if text == "" || slices.Contains(names, name) {
				return name
			}
			p.fail(e.value, "%s: want a Heroku dyno such as standard-1x, standard-2x, performance-m or performance-l, got %s%s",
				e.key.Value, quoted(text), didYouMean(name, names))
			return ""
		},
	}
}

// anyCase returns the pattern of words in whatever case; the dialect of JSON
// Schema has no flag for that.
func anyCase(words []string) string {
	var b strings.Builder
	for _, r := range strings.Join(words, "|") {
		if upper := strings.ToUpper(string(r)); upper != string(r) {
			fmt.Fprintf(&b, "[%c%s]", r, upper)
			continue
		}
		b.WriteRune(r)
	}
	return "^(" + b.String() + ")$"
}

// resources returns the CPU and memory of what has a size and says these beside
// it.
func resources(size, cpu, memory string) (string, string) {
	r, ok := sizes()[size]
	if !ok {
		r = resource{DefaultCPU, DefaultMemory}
	}
	return said(r.cpu, cpu), said(r.memory, memory)
}

// said returns what over says, and less if it says nothing.
func said[V comparable](less, over V) V {
	var nothing V
	if over != nothing {
		return over
	}
	return less
}
