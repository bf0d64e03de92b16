package github

import (
	"bytes"
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
	Pulls   []pullView
	Commits []*commitView
}

type commitView struct {
	SHA         string
	Ref         string
	Checks      []checkView
	Statuses    []*commitStatus
	Deployments []deploymentView
}

type deploymentView struct {
	*deployment
	State, Description, EnvironmentURL, LogURL string
}

type pullView struct {
	*pullRequest
	State    string
	Comments []commentView
}

type commentView struct {
	*issueComment
	Body template.HTML
}

type checkView struct {
	*checkRun
	Icon, Word, Took string
	Summary, Text    template.HTML
}

// page shows each repository's pull requests with their comments, and its commits, newest first, with their check runs,
// deployments and statuses as GitHub would.
func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	parsed, err := template.New("page").Parse(pageSource)
	if err != nil {
		s.refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	var drawn bytes.Buffer
	s.mu.Lock() // while it is drawn: what it shows goes on changing
	err = parsed.Execute(&drawn, s.view())
	s.mu.Unlock()
	if err != nil {
		s.refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'")
	if _, err := drawn.WriteTo(w); err != nil {
		s.logger.Debug("page could not be written", "error", err)
	}
}

// viewer collects what is shown of each repository and commit.
type viewer struct {
	page         pageView
	repositories map[string]*repositoryView
	commits      map[string]*commitView
}

func (v *viewer) repository(name string) *repositoryView {
	repo := v.repositories[name]
	if repo == nil {
		repo = &repositoryView{Name: name}
		v.repositories[name] = repo
		v.page.Repositories = append(v.page.Repositories, repo)
	}
	return repo
}

func (v *viewer) commit(repository, sha string) *commitView {
	repo := v.repository(repository)
	found := v.commits[repository+sha]
	if found == nil {
		found = &commitView{SHA: sha}
		v.commits[repository+sha] = found
		repo.Commits = append(repo.Commits, found)
	}
	return found
}

func (s *Server) view() pageView {
	v := viewer{page: pageView{Violations: len(s.violations)}, repositories: map[string]*repositoryView{}, commits: map[string]*commitView{}}
	for _, run := range slices.Backward(s.state.Runs) {
		if found := v.commit(run.Repository, run.SHA); found.Ref == "" {
			found.Ref, _ = run.refName()
		}
	}
	for _, run := range slices.Backward(s.state.CheckRuns) {
		found := v.commit(run.Repository, run.HeadSHA)
		found.Checks = append(found.Checks, viewOf(run))
	}
	for _, status := range slices.Backward(s.state.Statuses) {
		found := v.commit(status.Repository, status.SHA)
		found.Statuses = append(found.Statuses, status)
	}
	for _, d := range slices.Backward(s.state.Deployments) {
		found := v.commit(d.Repository, d.SHA)
		found.Deployments = append(found.Deployments, deploymentViewOf(d))
	}
	for _, pr := range slices.Backward(s.state.Pulls) {
		view := pullView{pullRequest: pr, State: pr.State}
		if pr.Merged {
			view.State = "merged"
		}
		for _, c := range s.commentsOf(pr) {
			view.Comments = append(view.Comments, commentView{c, markdown(c.Body)})
		}
		repo := v.repository(pr.Repository)
		repo.Pulls = append(repo.Pulls, view)
	}
	for _, repo := range v.page.Repositories {
		repo.Commits = repo.Commits[:min(len(repo.Commits), shownCommits)]
		repo.Pulls = repo.Pulls[:min(len(repo.Pulls), shownCommits)]
	}
	slices.SortFunc(v.page.Repositories, func(a, b *repositoryView) int { return strings.Compare(a.Name, b.Name) })
	return v.page
}

// deploymentViewOf shows a transient one that is inactive as GitHub does: destroyed.
func deploymentViewOf(d *deployment) deploymentView {
	view := deploymentView{deployment: d, State: d.state()}
	if d.Transient && view.State == "inactive" {
		view.State = "destroyed"
	}
	if n := len(d.Statuses); n > 0 {
		view.Description, view.EnvironmentURL, view.LogURL = d.Statuses[n-1].Description, d.Statuses[n-1].EnvironmentURL, d.Statuses[n-1].LogURL
	}
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
		case trimmed == "", isComment(trimmed):
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

// isComment leaves out what GitHub's readers do not see.
func isComment(line string) bool {
	return strings.HasPrefix(line, "<!--") && strings.Index(line, "-->") == len(line)-len("-->")
}

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
