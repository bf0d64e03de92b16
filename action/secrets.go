package action

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxSecretBytes is the most that BuildKit takes.
	// https://github.com/moby/buildkit/blob/master/session/secrets/secrets.go
	maxSecretBytes = 500 << 10
	// minMaskedLine keeps lines like "{" of a longer secret from being masked
	// wherever they stand in the log.
	minMaskedLine = 4
	// maxHeldLine is how much of a line without an end is held back.
	maxHeldLine = 64 << 10
	// fromVariable is how the value of a secret begins that stands in a variable of
	// the step.
	fromVariable = "env:"
	// redacted stands where a secret stood.
	redacted = "***"
)

// buildSecret is a secret that a build mounts. It is in no argument and no
// variable of a program.
type buildSecret struct {
	id       string
	variable string // where the value is; empty: it is there
	value    string
}

// buildSecrets takes id=value and id=env:NAME lines. A value is not repeated in
// the error.
func buildSecrets(value string, into *[]buildSecret) error {
	for line := range strings.Lines(value) {
		if line = strings.TrimRight(line, "\r\n"); strings.TrimSpace(line) == "" {
			continue
		}
		id, v, found := strings.Cut(strings.TrimSpace(line), "=")
		if !found || !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`).MatchString(id) {
			return errors.New("want an id=value or id=env:NAME on each line; a value of several lines goes into a variable of the step")
		}
		if slices.ContainsFunc(*into, func(s buildSecret) bool { return s.id == id }) {
			return fmt.Errorf("got the id %q twice, want it once", id)
		}
		s := buildSecret{id: id, value: v}
		if name, elsewhere := strings.CutPrefix(v, fromVariable); elsewhere {
			s.variable, s.value = name, ""
		}
		*into = append(*into, s)
	}
	return nil
}

// maskSecrets hides all values that the input may mean, before anything else is
// done with it.
func (a *Action) maskSecrets(input string) {
	for line := range strings.Lines(input) {
		_, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if name, elsewhere := strings.CutPrefix(value, fromVariable); elsewhere {
			value = a.Getenv(name)
		}
		for _, hidden := range hiddenLines(value) {
			a.github().AddMask(hidden)
		}
	}
}

// hiddenLines are the parts of a secret that must not be seen: the runner, too,
// looks at one line at a time.
func hiddenLines(value string) []string {
	if value = strings.TrimSpace(value); value == "" {
		return nil
	}
	if !strings.ContainsAny(value, "\r\n") {
		return []string{value}
	}
	return slices.DeleteFunc(strings.FieldsFunc(value, func(r rune) bool { return r == '\n' || r == '\r' }),
		func(line string) bool { return len(strings.TrimSpace(line)) < minMaskedLine })
}

// fetchSecrets gets the values that stand in variables, and returns what no line
// of the input shows.
func (a *Action) fetchSecrets(secrets []buildSecret) (problems []error) {
	for i, s := range secrets {
		if s.variable != "" {
			s.value = a.Getenv(s.variable)
			secrets[i].value = s.value
		}
		switch {
		case s.value == "" && s.variable != "":
			problems = append(problems, fmt.Errorf("input secrets: %s: the variable %q is not set in the step's env", s.id, s.variable))
		case s.value == "":
			problems = append(problems, fmt.Errorf("input secrets: %s is empty: is the secret set for this repository or environment?", s.id))
		case len(s.value) > maxSecretBytes:
			problems = append(problems, fmt.Errorf("input secrets: %s has %d bytes, want at most %d", s.id, len(s.value), maxSecretBytes))
		}
	}
	return problems
}

// mountSecrets writes the secrets into files below dir that only this user can
// read, and returns the arguments that name them.
func mountSecrets(secrets []buildSecret, dir string) ([]string, error) {
	var args []string
	for i, s := range secrets {
		file := filepath.Join(dir, "secret-"+strconv.Itoa(i))
		if err := os.WriteFile(file, []byte(s.value), 0o600); err != nil {
			return nil, fmt.Errorf("preparing the build's secrets: %w", err)
		}
		args = append(args, "--secret", "id="+s.id+",src="+file)
	}
	return args, nil
}

// redactor passes lines on without the secrets in them.
type redactor struct {
	out    io.Writer
	hidden []string
	held   []byte // of a line that goes on
}

// redacting returns out as it may be shown of a build with these secrets.
func redacting(out io.Writer, secrets []buildSecret) *redactor {
	r := &redactor{out: out}
	for _, s := range secrets {
		r.hidden = append(r.hidden, hiddenLines(s.value)...)
	}
	// The longer one first: it may hold the other.
	slices.SortFunc(r.hidden, func(x, y string) int { return len(y) - len(x) })
	return r
}

func (r *redactor) Write(p []byte) (int, error) {
	if len(r.hidden) == 0 {
		return r.out.Write(p)
	}
	r.held = append(r.held, p...)
	end := bytes.LastIndexByte(r.held, '\n') + 1
	if end == 0 && len(r.held) > maxHeldLine {
		end = len(r.held)
	}
	if err := r.pass(end); err != nil {
		return 0, err
	}
	return len(p), nil
}

// pass lets the first bytes go.
func (r *redactor) pass(end int) error {
	if end == 0 {
		return nil
	}
	text := string(r.held[:end])
	r.held = append(r.held[:0], r.held[end:]...)
	for _, hidden := range r.hidden {
		text = strings.ReplaceAll(text, hidden, redacted)
	}
	_, err := io.WriteString(r.out, text)
	return err
}

// flush lets the rest go, when nothing follows.
func (r *redactor) flush() { _ = r.pass(len(r.held)) } // the log is all that could be told
