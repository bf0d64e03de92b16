package spec

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// The bounds of what a file may say.
const (
	maxLabelBytes    = 40 // with a suffix of ours it stays a DNS label of 63
	maxNames         = 50 // services of a file, environments of a file
	maxReplicas      = 1000
	maxTextBytes     = 4 << 10
	maxListItems     = 100
	maxEnvBytes      = 32 << 10 // one value
	minHealthTimeout = time.Second
	maxHealthTimeout = time.Hour
)

// scalar returns the literal text of e's value, so that 1.10 stays "1.10"; ok
// is false after a mistake.
func (p *parser) scalar(e entry, want string) (n *yaml.Node, ok bool) {
	n = p.follow(e.value)
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		p.fail(e.value, "%s: want %s, got %s", e.key.Value, want, kind(n))
		return nil, false
	}
	switch n.Tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp":
	default:
		p.fail(e.value, "%s: want %s, got the YAML tag %s", e.key.Value, want, quoted(n.Tag))
		return nil, false
	}
	if strings.ContainsRune(n.Value, 0) {
		p.fail(e.value, "%s: want %s, got a NUL character", e.key.Value, want)
		return nil, false
	}
	return n, true
}

// text returns a non-empty string on one line.
func (p *parser) text(e entry) string {
	n, ok := p.scalar(e, "text")
	switch {
	case !ok:
		return ""
	case n.Tag != "!!str":
		p.fail(e.value, "%s: want text, got %s: put it in quotes", e.key.Value, n.Value)
	case n.Value == "":
		p.fail(e.value, "%s: want text, got nothing", e.key.Value)
	case len(n.Value) > maxTextBytes:
		p.fail(e.value, "%s: want at most %d bytes, got %d", e.key.Value, maxTextBytes, len(n.Value))
	default:
		return n.Value
	}
	return ""
}

// label returns a name that Kubernetes takes for everything made from it.
func (p *parser) label(e entry) string {
	text := p.text(e)
	if text == "" {
		return ""
	}
	if problem := labelProblem(text); problem != "" {
		p.fail(e.value, "%s: %s", e.key.Value, problem)
	}
	return text
}

// labelProblem says what keeps name from being a DNS label (RFC 1035, so that a
// Service may have it), or nothing.
func labelProblem(name string) string {
	if len(name) > maxLabelBytes {
		return fmt.Sprintf("want at most %d characters, got %d", maxLabelBytes, len(name))
	}
	ok := name != "" && name[0] >= 'a' && name[0] <= 'z' && name[len(name)-1] != '-'
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-')
	}
	if !ok {
		return fmt.Sprintf("want lower-case letters, digits and inner hyphens, a letter first, got %s", quoted(name))
	}
	return ""
}

func (p *parser) serviceType(e entry) ServiceType {
	text := p.text(e)
	switch t := ServiceType(text); t {
	case Web, Worker, "":
		return t
	}
	p.fail(e.value, "%s: want web or worker, got %s%s", e.key.Value, quoted(text), didYouMean(text, []string{string(Web), string(Worker)}))
	return ""
}

// whole returns a parser of whole numbers within bounds.
func whole(least, most int) func(*parser, entry) *int {
	return func(p *parser, e entry) *int {
		want := fmt.Sprintf("a whole number from %d to %d", least, most)
		n, ok := p.scalar(e, want)
		if !ok {
			return nil
		}
		v, err := strconv.Atoi(n.Value)
		if err != nil || n.Tag != "!!int" || v < least || v > most {
			p.fail(e.value, "%s: want %s, got %s", e.key.Value, want, quoted(n.Value))
			return nil
		}
		return &v
	}
}

// quantity returns a parser of what parse takes, written as a number or text.
func quantity(parse func(string) (string, error)) func(*parser, entry) string {
	return func(p *parser, e entry) string {
		n, ok := p.scalar(e, "a quantity")
		if !ok {
			return ""
		}
		q, err := parse(n.Value)
		if err != nil {
			p.fail(e.value, "%s: %v", e.key.Value, err)
		}
		return q
	}
}

func (p *parser) duration(e entry) string {
	n, ok := p.scalar(e, "a duration")
	if !ok {
		return ""
	}
	switch d, err := time.ParseDuration(n.Value); {
	case err != nil:
		p.fail(e.value, "%s: want a duration such as 90s or 2m, got %s", e.key.Value, quoted(n.Value))
	case d < minHealthTimeout || d > maxHealthTimeout:
		p.fail(e.value, "%s: want 1s to 1h, got %s", e.key.Value, quoted(n.Value))
	default:
		return d.String() // one spelling, so that 60s and 1m are one intent
	}
	return ""
}

// command returns a string for the shell or a list to run as it stands.
func (p *parser) command(e entry) *Command {
	var c Command
	if n := p.follow(e.value); n.Kind == yaml.SequenceNode {
		for _, item := range p.items(e, n) {
			c.Exec = append(c.Exec, p.text(item))
		}
	} else {
		c.Shell = p.text(e)
	}
	for _, part := range append(slices.Clone(c.Exec), c.Shell) {
		p.refuseCredential(e, part)
	}
	return &c
}

// items returns the elements of the list n that e's value is.
func (p *parser) items(e entry, n *yaml.Node) []entry {
	if len(n.Content) == 0 || len(n.Content) > maxListItems {
		p.fail(e.value, "%s: want 1 to %d items, got %d", e.key.Value, maxListItems, len(n.Content))
		return nil
	}
	items := make([]entry, len(n.Content))
	for i, value := range n.Content {
		at := e.path + "/" + strconv.Itoa(i)
		p.marks[at] = value
		items[i] = entry{key: e.key, value: value, path: at}
	}
	return items
}

// branches returns one branch or a list of them.
func (p *parser) branches(e entry) []string {
	list := []entry{e}
	if n := p.follow(e.value); n.Kind == yaml.SequenceNode {
		list = p.items(e, n)
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

// buildContext returns a relative path. It may lead upwards, to the root of a
// repository with several apps; that it stays inside is checked by who knows
// where the file is.
func (p *parser) buildContext(e entry) string {
	text := p.text(e)
	if path.IsAbs(text) || strings.ContainsAny(text, "\\\r\n") {
		p.fail(e.value, "%s: want a path relative to the folder of %s, got %s", e.key.Value, p.file, quoted(text))
	}
	return path.Clean(text)
}

// relativePath returns a path that stays inside the build's context by its own
// words; symbolic links are the builder's business.
func (p *parser) relativePath(e entry) string {
	text := p.text(e)
	if text == "" {
		return ""
	}
	clean := path.Clean(text)
	if path.IsAbs(text) || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsAny(text, "\\\r\n") {
		p.fail(e.value, "%s: want a path below the build's context, got %s", e.key.Value, quoted(text))
	}
	return clean
}

func (p *parser) urlPath(e entry) string {
	text := p.text(e)
	if text != "" && !regexp.MustCompile(`^/[!-~]*$`).MatchString(text) {
		p.fail(e.value, "%s: want a URL path such as /healthz, got %s", e.key.Value, quoted(text))
	}
	return text
}

// env returns environment variables or build arguments: text by names.
func (p *parser) env(e entry) map[string]string {
	entries, ok := p.mapping(e)
	if !ok {
		return nil
	}
	shape := regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	env := make(map[string]string, len(entries))
	for _, one := range entries {
		if name := one.key.Value; !shape.MatchString(name) || len(name) > 256 {
			p.fail(one.key, "%s: want a name of letters, digits and _, no digit first, got %s", e.key.Value, quoted(name))
			continue
		}
		n, ok := p.scalar(one, `a value ("" for an empty one)`)
		switch {
		case !ok:
		case len(n.Value) > maxEnvBytes:
			p.fail(one.value, "%s: want at most %d bytes, got %d", one.key.Value, maxEnvBytes, len(n.Value))
		default:
			env[one.key.Value] = n.Value
			p.refuseCredential(one, n.Value)
		}
	}
	return env
}

// refuseCredential records a mistake if value seems to be a secret; the message
// does not repeat it.
func (p *parser) refuseCredential(e entry, value string) {
	if what, found := p.looksLikeCredential(value); found {
		p.fail(e.value, "%s: holds what looks like %s: a secret never belongs in %s, which everyone with the repository can read; remove it and replace the secret, for it is known now",
			e.key.Value, what, p.file)
	}
}
