package github

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxStatusDescription is of a deployment's status, in characters.
const maxStatusDescription = 140

// deployment is one deployment with its statuses, oldest first.
type deployment struct {
	ID          int64               `json:"id"`
	Repository  string              `json:"repository"`
	SHA         string              `json:"sha"`
	Ref         string              `json:"ref"`
	Task        string              `json:"task"`
	Environment string              `json:"environment"`
	Payload     json.RawMessage     `json:"payload"`
	Description string              `json:"description"`
	Production  bool                `json:"production"`
	Transient   bool                `json:"transient"`
	CreatedAt   time.Time           `json:"createdAt"`
	AppID       int64               `json:"appID"`
	AppSlug     string              `json:"appSlug"`
	Creator     string              `json:"creator"`
	CreatorID   int64               `json:"creatorID"`
	Statuses    []*deploymentStatus `json:"statuses"`
}

type deploymentStatus struct {
	ID             int64     `json:"id"`
	State          string    `json:"state"`
	Description    string    `json:"description"`
	TargetURL      string    `json:"target_url"`
	LogURL         string    `json:"log_url"`
	Environment    string    `json:"environment"`
	EnvironmentURL string    `json:"environment_url"`
	AutoInactive   *bool     `json:"auto_inactive,omitempty"`
	CreatedAt      time.Time `json:"createdAt"`
	Creator        string    `json:"creator"`
	CreatorID      int64     `json:"creatorID"`
}

// state is that of the newest status.
func (d *deployment) state() string {
	if len(d.Statuses) == 0 {
		return "pending"
	}
	return d.Statuses[len(d.Statuses)-1].State
}

func (s *Server) createDeployment(req *apiRequest) reply {
	var asked struct {
		Ref              string          `json:"ref"`
		Task             string          `json:"task"`
		AutoMerge        *bool           `json:"auto_merge"`
		RequiredContexts *[]string       `json:"required_contexts"`
		Payload          json.RawMessage `json:"payload"`
		Environment      string          `json:"environment"`
		Description      string          `json:"description"`
		Transient        bool            `json:"transient_environment"`
		Production       *bool           `json:"production_environment"`
	}
	asked.Task, asked.Environment, asked.Payload = "deploy", "production", json.RawMessage(`""`)
	if err := json.Unmarshal(req.body, &asked); err != nil {
		return fail(http.StatusBadRequest, "Problems parsing JSON")
	}
	repo := s.state.repository(req.params["owner"], req.params["repo"])
	sha := s.commitOf(repo.fullName(), asked.Ref)
	if sha == "" {
		return fail(http.StatusUnprocessableEntity, "No ref found for: "+asked.Ref)
	}
	if asked.AutoMerge == nil || *asked.AutoMerge {
		if main := s.commitOf(repo.fullName(), "main"); main != "" && main != sha {
			return fail(http.StatusConflict, "Conflict merging main into "+asked.Ref+".")
		}
	}
	if failing := s.failing(repo.fullName(), sha, asked.RequiredContexts); failing {
		return fail(http.StatusConflict, "Conflict: Commit status checks failed for "+asked.Ref+".")
	}
	made := &deployment{
		ID: s.state.id(), Repository: repo.fullName(), SHA: sha, Ref: asked.Ref, Task: asked.Task, Environment: asked.Environment,
		Payload: asked.Payload, Description: asked.Description, Transient: asked.Transient, Production: asked.Environment == "production",
		CreatedAt: s.now().Truncate(time.Second), AppID: req.caller.AppID, AppSlug: req.caller.AppSlug,
	}
	if asked.Production != nil {
		made.Production = *asked.Production
	}
	made.Creator, made.CreatorID = req.caller.author()
	s.state.Deployments = append(s.state.Deployments, made)
	s.record(made.written("deployment"))
	return reply{status: http.StatusCreated, body: s.deploymentShape(made)}
}

// failing reports whether a context that is required, all unless said, did not succeed.
func (s *Server) failing(repository, sha string, required *[]string) bool {
	states := map[string]string{}
	for _, run := range s.state.CheckRuns {
		if strings.EqualFold(run.Repository, repository) && run.HeadSHA == sha {
			states[strings.ToLower(run.Name)] = run.Conclusion
		}
	}
	for _, status := range s.newestStatuses(repository, sha) {
		states[strings.ToLower(status.Context)] = status.State
	}
	good := func(state string) bool { return slices.Contains([]string{"success", "neutral", "skipped"}, state) }
	if required == nil {
		for _, state := range states {
			if !good(state) {
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(*required, func(name string) bool { return !good(states[strings.ToLower(name)]) })
}

func (s *Server) listDeployments(req *apiRequest) reply {
	query := req.http.URL.Query()
	repository := req.params["owner"] + "/" + req.params["repo"]
	var found []*deployment
	for _, d := range slices.Backward(s.state.Deployments) {
		differs := false
		for name, value := range map[string]string{"sha": d.SHA, "ref": d.Ref, "task": d.Task, "environment": d.Environment} {
			asked := query.Get(name)
			differs = differs || asked != "" && asked != "none" && asked != value // "none" is GitHub's default
		}
		if !differs && strings.EqualFold(d.Repository, repository) {
			found = append(found, d)
		}
	}
	return listed(s, req, found, s.deploymentShape)
}

// deployment finds the one that the path names.
func (s *Server) deployment(req *apiRequest) *deployment {
	for _, d := range s.state.Deployments {
		if strconv.FormatInt(d.ID, 10) == req.params["deployment_id"] && strings.EqualFold(d.Repository, req.params["owner"]+"/"+req.params["repo"]) {
			return d
		}
	}
	return nil
}

func (s *Server) getDeployment(req *apiRequest) reply {
	d := s.deployment(req)
	if d == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	return reply{status: http.StatusOK, body: s.deploymentShape(d)}
}

func (s *Server) createDeploymentStatus(req *apiRequest) reply {
	d := s.deployment(req)
	if d == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	status := &deploymentStatus{}
	if err := json.Unmarshal(req.body, status); err != nil {
		return fail(http.StatusBadRequest, "Problems parsing JSON")
	}
	if utf8.RuneCountInString(status.Description) > maxStatusDescription {
		return invalid("DeploymentStatus", "description", "description is too long (maximum is 140 characters)")
	}
	if status.LogURL != "" {
		status.TargetURL = status.LogURL
	}
	s.addStatus(d, status, req.caller)
	if status.State == "success" && (status.AutoInactive == nil || *status.AutoInactive) {
		for _, other := range s.state.Deployments {
			if other.ID < d.ID && other.Repository == d.Repository && other.Environment == d.Environment &&
				!other.Production && !other.Transient && other.state() == "success" {
				s.addStatus(other, &deploymentStatus{State: "inactive"}, req.caller)
			}
		}
	}
	return reply{status: http.StatusCreated, body: s.deploymentStatusShape(d, status)}
}

func (s *Server) addStatus(d *deployment, status *deploymentStatus, by *token) {
	status.ID, status.CreatedAt = s.state.id(), s.now().Truncate(time.Second)
	status.Creator, status.CreatorID = by.author()
	if status.Environment == "" {
		status.Environment = d.Environment
	}
	d.Statuses = append(d.Statuses, status)
	change := d.written("deployment_status")
	change.State, change.Text, change.URL = status.State, status.Description, status.EnvironmentURL
	s.record(change)
}

func (s *Server) listDeploymentStatuses(req *apiRequest) reply {
	d := s.deployment(req)
	if d == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	newest := slices.Clone(d.Statuses)
	slices.Reverse(newest)
	return listed(s, req, newest, func(status *deploymentStatus) map[string]any { return s.deploymentStatusShape(d, status) })
}

// written is d for the history.
func (d *deployment) written(kind string) written {
	var payload struct {
		ExternalID string `json:"external_id"`
	}
	_ = json.Unmarshal(d.Payload, &payload) // somebody else's is of any shape
	return written{
		Kind: kind, ID: d.ID, Repository: d.Repository, SHA: d.SHA, Name: d.Environment, ExternalID: payload.ExternalID, Text: d.Description,
	}
}

func (s *Server) deploymentShape(d *deployment) map[string]any {
	id := strconv.FormatInt(d.ID, 10)
	address := s.base + "/repos/" + d.Repository + "/deployments/" + id
	updated := d.CreatedAt
	if n := len(d.Statuses); n > 0 {
		updated = d.Statuses[n-1].CreatedAt
	}
	shape := map[string]any{
		"id": d.ID, "node_id": "DE_" + id, "sha": d.SHA, "ref": d.Ref, "task": d.Task, "payload": d.Payload,
		"original_environment": d.Environment, "environment": d.Environment, "description": d.Description,
		"creator": s.account(d.Creator, d.CreatorID), "created_at": timestamp(d.CreatedAt), "updated_at": timestamp(updated),
		"url": address, "statuses_url": address + "/statuses", "repository_url": s.base + "/repos/" + d.Repository,
		"transient_environment": d.Transient, "production_environment": d.Production, "performed_via_github_app": nil,
	}
	if d.AppID != 0 {
		shape["performed_via_github_app"] = s.appShape(d.AppID, d.AppSlug)
	}
	return shape
}

func (s *Server) deploymentStatusShape(d *deployment, status *deploymentStatus) map[string]any {
	id := strconv.FormatInt(status.ID, 10)
	address := s.base + "/repos/" + d.Repository + "/deployments/" + strconv.FormatInt(d.ID, 10)
	return map[string]any{
		"id": status.ID, "node_id": "DES_" + id, "state": status.State, "description": status.Description,
		"environment": status.Environment, "environment_url": status.EnvironmentURL, "log_url": status.LogURL, "target_url": status.TargetURL,
		"creator": s.account(status.Creator, status.CreatorID), "created_at": timestamp(status.CreatedAt), "updated_at": timestamp(status.CreatedAt),
		"url": address + "/statuses/" + id, "deployment_url": address, "repository_url": s.base + "/repos/" + d.Repository,
	}
}
