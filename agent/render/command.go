package render

import (
	"regexp"
	"slices"
	"strings"

	"github.com/inhaul/inhaul/spec"
)

// launcher starts every command in an image that buildpacks made: it gives the
// process what they have put into place, PATH first of all. One argument goes
// through a shell; "--" before it means that it is run as it stands.
//
// https://github.com/buildpacks/spec/blob/main/platform.md#launcher
const launcher = "/cnb/lifecycle/launcher"

// command is what a container of the service runs, as command says.
func (s service) command(run spec.Command) []string {
	return command(run, s.release.App.Buildpacks)
}

// command is the container's command, nil for the image's own. What is written
// in inhaul.yaml is what runs: Kubernetes' own $(VAR) expansion is escaped.
func command(run spec.Command, buildpacks bool) []string {
	var prefix, words []string
	switch {
	case run.Shell != "" && buildpacks:
		prefix, words = []string{launcher}, []string{shellLine(run.Shell)}
	case run.Shell != "":
		prefix, words = []string{"/bin/sh", "-c"}, []string{shellLine(run.Shell)}
	case len(run.Exec) > 0 && buildpacks:
		prefix, words = []string{launcher, "--"}, run.Exec
	default:
		words = run.Exec
	}
	for _, word := range words {
		prefix = append(prefix, escape(word))
	}
	return prefix
}

// escape keeps Kubernetes from expanding $(VAR) and from turning $$ into $, as
// it does in every command: a shell means something else by both.
//
// https://kubernetes.io/docs/tasks/inject-data-application/define-interactive-environment-variable-container/
func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		b.WriteByte(text[i])
		if text[i] == '$' && i+1 < len(text) && (text[i+1] == '$' || text[i+1] == '(') {
			b.WriteByte('$')
		}
	}
	return b.String()
}

// shellLine makes the shell replace itself by the command where it can, so that
// the command gets SIGTERM. That is the case for one simple command; a compound
// one is left as it is, for its author alone knows which part is the service.
//
// Leading assignments (A=b command) become A=b; export A; exec command. Neither
// A=b exec command (unspecified in POSIX) nor exec env A=$X command (splits $X)
// means the same.
func shellLine(line string) string {
	line = strings.TrimSpace(line)
	words, simple := simpleCommand(line)
	if !simple {
		return line
	}
	i := 0
	for i < len(words) && assignment.MatchString(words[i]) {
		i++
	}
	if i == len(words) || builtin(words[i]) {
		return line
	}
	command := strings.Join(words[i:], " ")
	if i == 0 {
		return "exec " + line
	}
	var names []string
	for _, word := range words[:i] {
		name, _, _ := strings.Cut(word, "=")
		names = append(names, name)
		if mentions(command, name) {
			return line // the command's own words see the old value, which export would hide
		}
	}
	return strings.Join(words[:i], " ") + "; export " + strings.Join(names, " ") + "; exec " + command
}

// assignment is compiled once; it never changes.
var assignment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)

// mentions reports whether text may expand the variable name.
func mentions(text, name string) bool {
	for i := range len(text) {
		if text[i] != '$' {
			continue
		}
		rest := strings.TrimPrefix(text[i+1:], "{")
		if after, ok := strings.CutPrefix(rest, name); ok && (after == "" || !identifier(after[0])) {
			return true
		}
	}
	return false
}

func identifier(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// builtin reports whether a first word cannot be exec'd: a reserved word, or a
// command that only the shell itself has.
//
// https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html
func builtin(word string) bool {
	return slices.Contains([]string{
		"!", "{", "}", "case", "do", "done", "elif", "else", "esac", "fi", "for", "if", "in", "then", "until", "while",
		"function", "select", "time", "[[", "((",
		".", ":", "alias", "bg", "break", "cd", "command", "continue", "eval", "exec", "exit", "export", "fg", "getopts",
		"hash", "jobs", "local", "read", "readonly", "return", "set", "shift", "source", "times", "trap", "type", "ulimit",
		"umask", "unalias", "unset", "wait",
	}, word)
}
