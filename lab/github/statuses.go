package github

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxStatuses is how many a commit can have of one context.
// https://docs.github.com/en/rest/commits/statuses#create-a-commit-status
const maxStatuses = 1000

// commitStatus is one status of a commit.
type commitStatus struct {
	ID          int64     `json:"id"`
	Repository  string    `json:"repository"`
	SHA         string    `json:"sha"`
	State       string    `json:"state"`
	Context     string    `json:"context"`
	Description string    `json:"description"`
	TargetURL   string    `json:"target_url"`
	CreatedAt   time.Time `json:"created_at"`
	Creator     string    `json:"creator"`
	CreatorID   int64     `json:"creatorID"`
}

func (s *Server) createStatus(req *apiRequest) reply {
	status := &commitStatus{Context: "default"}
	if err := json.Unmarshal(req.body, status); err != nil {
		return fail(http.StatusBadRequest, "Problems parsing JSON")
	}
	if !shaPattern.MatchString(req.params["sha"]) {
		return fail(http.StatusUnprocessableEntity, "No commit found for SHA: "+req.params["sha"])
	}
	repo := s.state.repository(req.params["owner"], req.params["repo"])
	status.ID, status.Repository, status.SHA = s.state.id(), repo.fullName(), req.params["sha"]
	earlier := s.statuses(repo.fullName(), status.SHA, status.Context)
	if len(earlier) >= maxStatuses {
		return invalid("Status", "", "This SHA and context has reached the maximum number of statuses.")
	}
	status.CreatedAt = s.now().Truncate(time.Second)
	status.Creator, status.CreatorID = req.caller.author()
	s.state.Statuses = append(s.state.Statuses, status)
	s.record(written{
		Kind: "status", ID: status.ID, Repository: status.Repository, SHA: status.SHA, Name: status.Context,
		State: status.State, Text: status.Description, URL: status.TargetURL,
	})
	return reply{status: http.StatusCreated, body: s.statusShape(status)}
}

// invalid is GitHub's refusal of a value.
func invalid(resource, field, message string) reply {
	rep := fail(http.StatusUnprocessableEntity, "Validation Failed")
	problem := map[string]any{"resource": resource, "code": "custom", "message": message}
	if field != "" {
		problem["field"] = field
	}
	rep.body = map[string]any{
		"message": "Validation Failed", "documentation_url": documentationURL, "status": "422", "errors": []any{problem},
	}
	return rep
}

// statuses are those of a commit, newest first; all contexts unless one is named, upper and lower case alike.
func (s *Server) statuses(repository, sha, name string) []*commitStatus {
	var found []*commitStatus
	for _, status := range slices.Backward(s.state.Statuses) {
		if strings.EqualFold(status.Repository, repository) && status.SHA == sha && (name == "" || strings.EqualFold(status.Context, name)) {
			found = append(found, status)
		}
	}
	return found
}

func (s *Server) listStatuses(req *apiRequest) reply {
	repo := s.state.repository(req.params["owner"], req.params["repo"])
	return listed(s, req, s.statuses(repo.fullName(), s.resolve(req), ""), s.statusShape)
}

// combinedStatus has the newest status of each context.
func (s *Server) combinedStatus(req *apiRequest) reply {
	sha := s.resolve(req)
	if sha == "" {
		return fail(http.StatusNotFound, "Not Found")
	}
	repo := s.state.repository(req.params["owner"], req.params["repo"])
	newest := s.newestStatuses(repo.fullName(), sha)
	page, header := paged(s, req.http, newest)
	shapes := []any{}
	for _, status := range page {
		shape := s.statusShape(status)
		delete(shape, "creator")
		shapes = append(shapes, shape)
	}
	address := s.base + "/repos/" + repo.fullName() + "/commits/" + sha
	return reply{status: http.StatusOK, header: header, body: map[string]any{
		"state": combined(newest), "sha": sha, "total_count": len(newest), "statuses": shapes,
		"repository": s.repositoryShape(repo), "commit_url": address, "url": address + "/status",
	}}
}

func (s *Server) newestStatuses(repository, sha string) []*commitStatus {
	seen := map[string]bool{}
	var newest []*commitStatus
	for _, status := range s.statuses(repository, sha, "") {
		if name := strings.ToLower(status.Context); !seen[name] {
			seen[name] = true
			newest = append(newest, status)
		}
	}
	return newest
}

// combined is GitHub's rule: failure if one failed, pending if there is none or one is, else success.
func combined(newest []*commitStatus) string {
	state := "success"
	if len(newest) == 0 {
		state = "pending"
	}
	for _, status := range newest {
		switch status.State {
		case "error", "failure":
			return "failure"
		case "pending":
			state = "pending"
		}
	}
	return state
}

func (s *Server) statusShape(status *commitStatus) map[string]any {
	return map[string]any{
		"id": status.ID, "node_id": "ST_" + strconv.FormatInt(status.ID, 10),
		"url":        s.base + "/repos/" + status.Repository + "/statuses/" + status.SHA,
		"avatar_url": s.base + "/avatars/" + strings.TrimSuffix(status.Creator, "[bot]"), "state": status.State, "context": status.Context,
		"description": text(status.Description), "target_url": text(status.TargetURL),
		"created_at": timestamp(status.CreatedAt), "updated_at": timestamp(status.CreatedAt),
		"creator": s.account(status.Creator, status.CreatorID),
	}
}
