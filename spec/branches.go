package spec

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// branches is a value of one branch or a list of them.
func branches() value[[]string] {
	return value[[]string]{
		shape: shape{words: "branch, pattern, or a list of these", schema: func(*schema) object {
			text := object{"type": "string", "minLength": 1, "maxLength": maxTextBytes}
			return object{"anyOf": []object{text, {"type": "array", "items": text, "minItems": 1, "maxItems": maxListItems}}}
		}},
		parse: (*parser).branches,
	}
}

func (p *parser) branches(e entry) []string {
	list := []entry{e}
	if n := p.follow(e.value); n.Kind == yaml.SequenceNode {
		list = p.items(e, n, 1)
	} else {
		p.marks[e.path+"/0"] = e.value
	}
	var branches []string
	for _, item := range list {
		branch := p.text(item)
		switch {
		case branch == "":
		case strings.HasPrefix(branch, "refs/"):
			p.fail(item.value, "%s: want a branch such as main, got the ref %s", e.key.Value, quoted(branch))
		// https://git-scm.com/docs/git-check-ref-format, but for "*", which is ours
		case strings.ContainsAny(branch, " \t\r\n~^:?[\\") || strings.Contains(branch, "..") || strings.Trim(branch, "/") != branch:
			p.fail(item.value, "%s: %s cannot be a branch", e.key.Value, quoted(branch))
		}
		branches = append(branches, branch)
	}
	return branches
}

// checkBranches records branches that would mean two environments.
func (p *parser) checkBranches(at string, f *File) {
	type mention struct{ environment, path, branch string }
	var all []mention
	for name, e := range f.Environments {
		for i, branch := range e.Branches {
			all = append(all, mention{name, below(at, "environments", name, "branch", strconv.Itoa(i)), branch})
		}
	}
	// In the order of the file, so that the second one is the mistake.
	slices.SortFunc(all, func(a, b mention) int {
		// One list under two names, by an alias, stands in one place.
		return cmp.Or(compare(p.marks[a.path], p.marks[b.path]), strings.Compare(a.path, b.path))
	})
	first := make(map[string]string)
	for _, m := range all {
		if m.branch == "" {
			continue // reported already
		}
		if other, taken := first[m.branch]; taken {
			p.failMark(m.path, "branch %s means environment %q already", quoted(m.branch), other)
			continue
		}
		first[m.branch] = m.environment
	}
}
