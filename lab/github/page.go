package github

import (
	_ "embed" // the page
	"fmt"
	"html"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

//go:embed page.html
var pageSource string

// shownCommits bounds the page per repository.
const shownCommits = 50

type pageView struct {
	Repositories []*repositoryView
	Violations   int
}

type repositoryView struct {
	Name    string
	Commits []*commitView
}

type commitView struct {
	SHA      string
	Ref      string
	Checks   []checkView
	Statuses []*commitStatus
}

type checkView struct {
	*checkRun
	Icon, Word, Took string
	Summary, Text    template.HTML
}

// page shows each repository's commits, newest first, with their check runs as GitHub would.
func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	parsed, err := template.New("page").Parse(pageSource)
	if err != nil {
		s.refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	s.mu.Lock()
	view := s.view()
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'")
	if err := parsed.Execute(w, view); err != nil {
		s.logger.Debug("page could not be written", "error", err)
	}
}

func (s *Server) view() pageView {
	view := pageView{Violations: len(s.violations)}
	repositories := map[string]*repositoryView{}
	commits := map[string]*commitView{}
	commit := func(repository, sha string) *commitView {
		repo := repositories[repository]
		if repo == nil {
			repo = &repositoryView{Name: repository}
			repositories[repository] = repo
			view.Repositories = append(view.Repositories, repo)
		}
		found := commits[repository+sha]
		if found == nil {
			found = &commitView{SHA: sha}
			commits[repository+sha] = found
			repo.Commits = append(repo.Commits, found)
		}
		return found
	}
	for _, run := range slices.Backward(s.state.Runs) {
		if found := commit(run.Repository, run.SHA); found.Ref == "" {
			found.Ref, _ = run.refName()
		}
	}
	for _, run := range slices.Backward(s.state.CheckRuns) {
		found := commit(run.Repository, run.HeadSHA)
		found.Checks = append(found.Checks, viewOf(run))
	}
	for _, status := range slices.Backward(s.state.Statuses) {
		found := commit(status.Repository, status.SHA)
		found.Statuses = append(found.Statuses, status)
	}
	for _, repo := range view.Repositories {
		repo.Commits = repo.Commits[:min(len(repo.Commits), shownCommits)]
	}
	slices.SortFunc(view.Repositories, func(a, b *repositoryView) int { return strings.Compare(a.Name, b.Name) })
	return view
}

func viewOf(run *checkRun) checkView {
	view := checkView{checkRun: run, Icon: "●", Word: strings.ReplaceAll(run.Status, "_", " ")}
	if run.Conclusion != "" {
		view.Word = strings.ReplaceAll(run.Conclusion, "_", " ")
	}
	switch run.Conclusion {
	case "success":
		view.Icon = "✓"
	case "failure", "timed_out":
		view.Icon = "✗"
	case "neutral", "skipped":
		view.Icon = "■"
	case "cancelled", "stale":
		view.Icon = "⊘"
	case "action_required":
		view.Icon = "!"
	}
	if !run.CompletedAt.IsZero() {
		view.Took = run.CompletedAt.Sub(run.StartedAt).Round(time.Second).String()
	}
	if run.Output != nil {
		view.Summary, view.Text = markdown(run.Output.Summary), markdown(run.Output.Text)
	}
	return view
}

// markdown shows the little of Markdown that check runs use. All is escaped first; nothing but our own tags comes out.
func markdown(source string) template.HTML {
	var out strings.Builder
	fenced := false
	for line := range strings.Lines(source) {
		line = strings.TrimRight(line, "\r\n")
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "```"):
			out.WriteString(map[bool]string{false: "<pre>", true: "</pre>\n"}[fenced])
			fenced = !fenced
		case fenced:
			out.WriteString(html.EscapeString(line) + "\n")
		case isFold(trimmed):
			out.WriteString(trimmed + "\n")
		case trimmed == "":
		case strings.HasPrefix(trimmed, "#"):
			out.WriteString("<h4>" + inline(strings.TrimLeft(trimmed, "# ")) + "</h4>\n")
		case strings.HasPrefix(trimmed, "- "), strings.HasPrefix(trimmed, "* "):
			out.WriteString("<div class=li>" + inline(trimmed[2:]) + "</div>\n")
		case strings.HasPrefix(trimmed, "|"):
			out.WriteString("<div class=tr>" + inline(trimmed) + "</div>\n")
		default:
			out.WriteString("<p>" + inline(trimmed) + "</p>\n")
		}
	}
	if fenced {
		out.WriteString("</pre>")
	}
	return template.HTML(out.String()) // every part was escaped above
}

var foldLine = regexp.MustCompile(`^(<details>|</details>|(<details>)?<summary>[^<>&"]*</summary>)$`)

// isFold lets GitHub's folding tags through, without attributes.
func isFold(line string) bool { return foldLine.MatchString(line) }

var (
	codeSpan = regexp.MustCompile("`([^`]+)`")
	boldSpan = regexp.MustCompile(`\*\*([^*]+)\*\*`)
	linkSpan = regexp.MustCompile(`\[([^\]]+)\]\((https?://[^)\s]+)\)`)
)

func inline(line string) string {
	line = html.EscapeString(line)
	line = codeSpan.ReplaceAllString(line, "<code>$1</code>")
	line = boldSpan.ReplaceAllString(line, "<b>$1</b>")
	return linkSpan.ReplaceAllString(line, fmt.Sprintf(`<a href="%s" rel=noreferrer>%s</a>`, "$2", "$1"))
}
