// Package gallery shows what a developer sees on GitHub: each golden file of the
// agent's and the Action's texts as GitHub would render it, on one page.
package gallery

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What GitHub takes of a text, REST API description: check runs have up to 65535
// characters of summary and of text, and 50 annotations a request; descriptions of
// statuses and deployment statuses have 140 characters.
const (
	maxText        = 65535
	maxAnnotations = 50
	maxDescription = 140
)

// Story is one golden file: one thing on GitHub in one state.
type Story struct {
	Room        string // agent or action
	File        string // its name without .md
	Kind        string
	Fields      map[string]string
	Sections    map[string]string
	Annotations []Annotation
}

// Annotation stands at a line of a file.
type Annotation struct {
	Path    string
	Line    int
	Level   string // notice, warning or failure
	Message string
}

// shape says what a kind of story has.
type shape struct {
	needs, may, sections []string
}

// shapes are the kinds of stories.
func shapes() map[string]shape {
	return map[string]shape{
		"check": {
			needs: []string{"name", "status", "title"},
			may:   []string{"repository", "commit", "conclusion", "details", "started", "completed", "annotation"}, sections: []string{"summary", "text"},
		},
		"comment":    {may: []string{"name", "repository", "url"}, sections: []string{"body"}},
		"deployment": {needs: []string{"environment", "state", "description"}, may: []string{"name", "commit", "url", "log", "production", "transient"}},
		"status":     {needs: []string{"name", "state", "description"}, may: []string{"commit", "url"}},
		"summary":    {needs: []string{"name"}, sections: []string{"body"}},
	}
}

// Parse reads a golden file: lines of `key: value`, then sections that begin with
// a line `===== NAME`. What it does not know is an error.
func Parse(text string) (Story, error) {
	s := Story{Fields: map[string]string{}, Sections: map[string]string{}}
	header, rest, _ := strings.Cut("\n"+text, "\n===== ")
	for number, line := range strings.Split(strings.TrimPrefix(header, "\n"), "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if err := s.field(line); err != nil {
			return s, fmt.Errorf("line %d: %w", number+1, err)
		}
	}
	if rest != "" {
		for section := range strings.SplitSeq(rest, "\n===== ") {
			name, body, _ := strings.Cut(section, "\n")
			if _, twice := s.Sections[name]; twice {
				return s, fmt.Errorf("section %q is there twice", name)
			}
			s.Sections[name] = body
		}
	}
	return s, s.check()
}

func (s *Story) field(line string) error {
	key, value, ok := strings.Cut(line, ": ")
	if !ok {
		if key, ok = strings.CutSuffix(line, ":"); !ok {
			return fmt.Errorf("got %q, want key: value", line)
		}
	}
	if key == "annotation" {
		a, err := parseAnnotation(value)
		s.Annotations = append(s.Annotations, a)
		return err
	}
	if key == "kind" {
		s.Kind = value
		return nil
	}
	if _, twice := s.Fields[key]; twice {
		return fmt.Errorf("%s is there twice", key)
	}
	s.Fields[key] = value
	return nil
}

// parseAnnotation reads PATH:LINE LEVEL MESSAGE.
func parseAnnotation(text string) (Annotation, error) {
	place, rest, _ := strings.Cut(text, " ")
	level, message, _ := strings.Cut(rest, " ")
	file, number, _ := strings.Cut(place, ":")
	line, err := strconv.Atoi(number)
	if err != nil || line < 1 || file == "" || message == "" || !slices.Contains([]string{"notice", "warning", "failure"}, level) {
		return Annotation{}, fmt.Errorf("annotation: got %q, want PATH:LINE LEVEL MESSAGE with the level notice, warning or failure", text)
	}
	return Annotation{Path: file, Line: line, Level: level, Message: message}, nil
}

// check says what GitHub, or the page, would not take.
func (s *Story) check() error {
	want, known := shapes()[s.Kind]
	if !known {
		return fmt.Errorf("kind: got %q, want check, comment, deployment, status or summary", s.Kind)
	}
	for key := range s.Fields {
		if !slices.Contains(want.needs, key) && !slices.Contains(want.may, key) {
			return fmt.Errorf("%s: a %s has none", key, s.Kind)
		}
	}
	for _, key := range want.needs {
		if s.Fields[key] == "" {
			return fmt.Errorf("%s: a %s needs it", key, s.Kind)
		}
	}
	for name, body := range s.Sections {
		if !slices.Contains(want.sections, name) {
			return fmt.Errorf("section %q: a %s has none", name, s.Kind)
		}
		if n := utf8.RuneCountInString(body); n > maxText {
			return fmt.Errorf("section %q: got %d characters, GitHub takes %d", name, n, maxText)
		}
	}
	if len(want.sections) > 0 && strings.TrimSpace(s.Sections[want.sections[0]]) == "" {
		return fmt.Errorf("section %q: a %s needs it", want.sections[0], s.Kind)
	}
	return s.states()
}

func (s *Story) states() error {
	states := map[string][]string{
		"check":      {"queued", "in_progress", "completed"},
		"deployment": {"error", "failure", "inactive", "in_progress", "queued", "pending", "success"},
		"status":     {"error", "failure", "pending", "success"},
	}[s.Kind]
	if state := s.State(); len(states) > 0 && !slices.Contains(states, state) {
		return fmt.Errorf("state of a %s: got %q, want one of %s", s.Kind, state, strings.Join(states, ", "))
	}
	conclusions := []string{"success", "failure", "neutral", "cancelled", "timed_out", "action_required", "skipped"}
	if got := s.Fields["conclusion"]; s.Kind == "check" && (s.State() == "completed") != slices.Contains(conclusions, got) {
		return fmt.Errorf("conclusion: got %q of a check that is %s", got, s.State())
	}
	if n := len(s.Annotations); n > maxAnnotations || n > 0 && s.Kind != "check" {
		return fmt.Errorf("got %d annotations of a %s, a check takes %d", n, s.Kind, maxAnnotations)
	}
	if n := utf8.RuneCountInString(s.Fields["description"]); n > maxDescription {
		return fmt.Errorf("description: got %d characters, GitHub takes %d", n, maxDescription)
	}
	return nil
}

// State is how far the thing is, in GitHub's word for its kind.
func (s Story) State() string {
	if s.Kind == "check" {
		return s.Fields["status"]
	}
	return s.Fields["state"]
}

// Load reads every golden file of the repository at root.
func Load(root fs.FS) ([]Story, error) {
	var stories []Story
	var mistakes []error
	for _, room := range []string{"agent", "action"} {
		files, err := fs.Glob(root, room+"/testdata/face/*.md")
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			data, err := fs.ReadFile(root, file)
			if err != nil {
				return nil, err
			}
			s, err := Parse(string(data))
			if err != nil {
				mistakes = append(mistakes, fmt.Errorf("%s: %w", file, err))
			}
			s.Room, s.File = room, strings.TrimSuffix(path.Base(file), ".md")
			stories = append(stories, s)
		}
	}
	return stories, errors.Join(mistakes...)
}
