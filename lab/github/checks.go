package github

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	defaultPerPage = 30
	maxPerPage     = 100
)

var shaPattern = regexp.MustCompile(`^[0-9a-f]{40}$`)

// checkRun is one check run; JSON names are those of GitHub's requests.
type checkRun struct {
	ID          int64        `json:"id"`
	Repository  string       `json:"repository"`
	AppID       int64        `json:"appID"`
	AppSlug     string       `json:"appSlug"`
	HeadSHA     string       `json:"head_sha"`
	Name        string       `json:"name"`
	ExternalID  string       `json:"external_id"`
	DetailsURL  string       `json:"details_url"`
	Status      string       `json:"status"`
	Conclusion  string       `json:"conclusion"`
	StartedAt   time.Time    `json:"started_at,omitzero"`
	CompletedAt time.Time    `json:"completed_at,omitzero"`
	Output      *checkOutput `json:"output"`
}

type checkOutput struct {
	Title       string            `json:"title"`
	Summary     string            `json:"summary"`
	Text        string            `json:"text"`
	Annotations []json.RawMessage `json:"annotations,omitempty"`
}

// change is the body of a create or an update; what is nil stays as it is.
type change struct {
	HeadSHA     *string      `json:"head_sha"`
	Name        *string      `json:"name"`
	ExternalID  *string      `json:"external_id"`
	DetailsURL  *string      `json:"details_url"`
	Status      *string      `json:"status"`
	Conclusion  *string      `json:"conclusion"`
	StartedAt   *time.Time   `json:"started_at"`
	CompletedAt *time.Time   `json:"completed_at"`
	Output      *checkOutput `json:"output"`
}

func (s *Server) createCheckRun(req *apiRequest) reply {
	var asked change
	if err := json.Unmarshal(req.body, &asked); err != nil {
		return fail(http.StatusBadRequest, "Problems parsing JSON")
	}
	if !shaPattern.MatchString(*asked.HeadSHA) {
		return fail(http.StatusUnprocessableEntity, "No commit found for SHA: "+*asked.HeadSHA)
	}
	repo := s.state.repository(req.params["owner"], req.params["repo"])
	run := &checkRun{
		ID: s.state.id(), Repository: repo.fullName(), AppID: req.caller.AppID, AppSlug: req.caller.AppSlug,
		HeadSHA: *asked.HeadSHA, Status: "queued", StartedAt: s.now().Truncate(time.Second),
	}
	run.apply(asked, s.now())
	s.state.CheckRuns = append(s.state.CheckRuns, run)
	s.note(run)
	return reply{status: http.StatusCreated, body: s.checkRunShape(run)}
}

// apply changes what is given. A conclusion completes the run; another status without one opens it again.
func (run *checkRun) apply(asked change, now time.Time) {
	set := func(field *string, value *string) {
		if value != nil {
			*field = *value
		}
	}
	set(&run.Name, asked.Name)
	set(&run.ExternalID, asked.ExternalID)
	set(&run.DetailsURL, asked.DetailsURL)
	set(&run.Status, asked.Status)
	if asked.StartedAt != nil {
		run.StartedAt = *asked.StartedAt
	}
	if asked.Output != nil {
		if run.Output != nil { // annotations are appended, the rest is replaced
			asked.Output.Annotations = append(run.Output.Annotations, asked.Output.Annotations...)
		}
		run.Output = asked.Output
	}
	switch {
	case asked.Conclusion != nil:
		run.Status, run.Conclusion, run.CompletedAt = "completed", *asked.Conclusion, now.Truncate(time.Second)
		if asked.CompletedAt != nil {
			run.CompletedAt = *asked.CompletedAt
		}
	case asked.Status != nil && *asked.Status != "completed":
		run.Conclusion, run.CompletedAt = "", time.Time{}
	}
}

func (s *Server) updateCheckRun(req *apiRequest) reply {
	run := s.checkRun(req)
	if run == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	if run.AppID != req.caller.AppID {
		return fail(http.StatusForbidden, fmt.Sprintf("Invalid app_id `%d` - check run can only be modified by the GitHub App that created it.", req.caller.AppID))
	}
	var asked change
	if err := json.Unmarshal(req.body, &asked); err != nil {
		return fail(http.StatusBadRequest, "Problems parsing JSON")
	}
	run.apply(asked, s.now())
	s.note(run)
	return reply{status: http.StatusOK, body: s.checkRunShape(run)}
}

func (s *Server) getCheckRun(req *apiRequest) reply {
	run := s.checkRun(req)
	if run == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	return reply{status: http.StatusOK, body: s.checkRunShape(run)}
}

// checkRun finds the one that the path names.
func (s *Server) checkRun(req *apiRequest) *checkRun {
	for _, run := range s.state.CheckRuns {
		if strconv.FormatInt(run.ID, 10) == req.params["check_run_id"] &&
			strings.EqualFold(run.Repository, req.params["owner"]+"/"+req.params["repo"]) {
			return run
		}
	}
	return nil
}

// listCheckRuns lists newest first; filter=latest, the default, keeps one per App and name.
func (s *Server) listCheckRuns(req *apiRequest) reply {
	sha := s.resolve(req)
	if sha == "" {
		return fail(http.StatusUnprocessableEntity, "No commit found for SHA: "+req.params["ref"])
	}
	query := req.http.URL.Query()
	seen := map[string]bool{}
	var found []*checkRun
	for _, run := range slices.Backward(s.state.CheckRuns) {
		key := strconv.FormatInt(run.AppID, 10) + " " + run.Name
		switch {
		case run.HeadSHA != sha || !strings.EqualFold(run.Repository, req.params["owner"]+"/"+req.params["repo"]),
			query.Has("check_name") && run.Name != query.Get("check_name"),
			query.Has("status") && run.Status != query.Get("status"),
			query.Has("app_id") && strconv.FormatInt(run.AppID, 10) != query.Get("app_id"),
			query.Get("filter") != "all" && seen[key]:
			continue
		}
		seen[key] = true
		found = append(found, run)
	}
	page, header := paged(s, req.http, found)
	shapes := []any{}
	for _, run := range page {
		shapes = append(shapes, s.checkRunShape(run))
	}
	return reply{status: http.StatusOK, header: header, body: map[string]any{"total_count": len(found), "check_runs": shapes}}
}

// resolve turns a branch, "heads/…" included, into the commit of its last workflow run.
func (s *Server) resolve(req *apiRequest) string {
	return s.commitOf(req.params["owner"]+"/"+req.params["repo"], req.params["ref"])
}

// paged cuts one page out of found and links to the next.
func paged[T any](s *Server, r *http.Request, found []T) ([]T, http.Header) {
	query := r.URL.Query()
	number := func(name string, fallback int) int {
		if n, err := strconv.Atoi(query.Get(name)); err == nil && n > 0 {
			return n
		}
		return fallback
	}
	size, page := min(number("per_page", defaultPerPage), maxPerPage), number("page", 1)
	start := min((page-1)*size, len(found))
	end := min(start+size, len(found))
	header := http.Header{}
	if end < len(found) {
		query.Set("page", strconv.Itoa(page+1))
		header.Set("Link", fmt.Sprintf(`<%s%s?%s>; rel="next"`, s.base, r.URL.Path, query.Encode()))
	}
	return found[start:end], header
}

// listed answers one page of found.
func listed[T any](s *Server, req *apiRequest, found []T, shape func(T) map[string]any) reply {
	page, header := paged(s, req.http, found)
	shapes := []any{}
	for _, one := range page {
		shapes = append(shapes, shape(one))
	}
	return reply{status: http.StatusOK, header: header, body: shapes}
}

func (s *Server) checkRunShape(run *checkRun) map[string]any {
	id := strconv.FormatInt(run.ID, 10)
	address := s.base + "/repos/" + run.Repository + "/check-runs/" + id
	details := run.DetailsURL
	if details == "" {
		details = s.base + "/apps/" + run.AppSlug
	}
	output := map[string]any{"title": nil, "summary": nil, "text": nil, "annotations_count": 0, "annotations_url": address + "/annotations"}
	if run.Output != nil {
		output["title"], output["summary"], output["text"] = run.Output.Title, run.Output.Summary, text(run.Output.Text)
		output["annotations_count"] = len(run.Output.Annotations)
	}
	return map[string]any{
		"id": run.ID, "node_id": "CR_" + id, "head_sha": run.HeadSHA, "name": run.Name, "external_id": run.ExternalID,
		"url": address, "html_url": s.base + "/" + run.Repository + "/runs/" + id, "details_url": details,
		"status": run.Status, "conclusion": text(run.Conclusion),
		"started_at": timestamp(run.StartedAt), "completed_at": timestamp(run.CompletedAt),
		"output": output, "check_suite": map[string]any{"id": run.AppID}, "app": s.appShape(run.AppID, run.AppSlug), "pull_requests": []any{},
	}
}
