package gallery

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed page.html
var page string

//go:embed page.css
var style string

// View is a page: some stories, and where all the others are.
type View struct {
	Title   string
	Theme   string // light, dark, or empty for what the reader's system has
	Groups  []Group
	Stories []Story // all
	Shown   []Story // those that have a place on this page
	// Together are the small views: a list of commits, and a pull request.
	Together bool
}

// Group is a heading of the sidebar.
type Group struct {
	Name    string
	Stories []Story
}

// Groups sorts stories by what they are.
func Groups(stories []Story) []Group {
	groups := []Group{{Name: "check"}, {Name: "comment"}, {Name: "deployment"}, {Name: "status"}, {Name: "summary"}}
	for _, s := range stories {
		for i := range groups {
			if groups[i].Name == s.Kind {
				groups[i].Stories = append(groups[i].Stories, s)
			}
		}
	}
	return groups
}

// ID is the story's place on the page, and the name of its picture.
func (s Story) ID() string {
	return s.Room + "-" + s.Kind + "-" + strings.TrimPrefix(s.File, s.Kind+"-")
}

// Look is what its icon shows: a conclusion, or a state without one.
func (s Story) Look() string {
	look := s.State()
	if look == "completed" {
		look = s.Fields["conclusion"]
	}
	switch look {
	case "success", "neutral", "cancelled", "skipped", "action_required", "queued", "inactive":
		return look
	case "failure", "error", "timed_out":
		return "failure"
	case "in_progress", "pending":
		return "running"
	}
	return "none"
}

// One is the first of some stories, by their names, or nothing.
func (v View) One(id string) []Story {
	for _, s := range v.Stories {
		if s.ID() == id {
			return []Story{s}
		}
	}
	return nil
}

// Of are the stories of a kind.
func (v View) Of(kind string) []Story {
	var of []Story
	for _, s := range v.Stories {
		if s.Kind == kind {
			of = append(of, s)
		}
	}
	return of
}

// icons are drawn in a square of 16.
func icon(look string) template.HTML {
	const shape = `<svg class="icon %s" viewBox="0 0 16 16" role="img" aria-label="%[1]s">%s</svg>`
	stroke := func(d string) string { return `<path class="line" d="` + d + `"/>` }
	drawn := map[string]string{
		"success":         `<circle cx="8" cy="8" r="8"/>` + stroke("M4.5 8.2l2.3 2.3 4.7-4.8"),
		"failure":         `<circle cx="8" cy="8" r="8"/>` + stroke("M5.2 5.2l5.6 5.6m0-5.6l-5.6 5.6"),
		"action_required": `<circle cx="8" cy="8" r="8"/>` + stroke("M8 4v5m0 2v1"),
		"neutral":         `<rect x="3" y="3" width="10" height="10" rx="2"/>`,
		"inactive":        `<rect x="3" y="3" width="10" height="10" rx="2"/>`,
		"cancelled":       `<circle cx="8" cy="8" r="8"/>` + stroke("M4.8 11.2l6.4-6.4"),
		"skipped":         `<circle cx="8" cy="8" r="8"/>` + stroke("M4.8 11.2l6.4-6.4"),
		"running":         `<circle cx="8" cy="8" r="4"/>`,
		"queued":          `<circle class="ring" cx="8" cy="8" r="6"/>`,
	}[look]
	return template.HTML(fmt.Sprintf(shape, look, drawn))
}

// Write writes the page.
func (v View) Write(out io.Writer) error {
	markdown := NewMarkdown()
	functions := template.FuncMap{
		"icon": icon, "text": markdown.Text, "comment": markdown.Comment,
		"style": func() template.CSS { return template.CSS(style) },
		"short": func(commit string) string { return commit[:min(7, len(commit))] },
		"words": func(state string) string { return strings.ReplaceAll(state, "_", " ") },
	}
	parsed, err := template.New("page").Funcs(functions).Parse(page)
	if err != nil {
		return fmt.Errorf("reading the page's template: %w", err)
	}
	return parsed.Execute(out, v)
}
