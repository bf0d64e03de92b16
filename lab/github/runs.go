package github

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// workflowRun is one attempt of a run of a workflow, as POST /_lab/runs takes it. What is missing gets a default.
type workflowRun struct {
	Repository        string            `json:"repository"` // owner/name
	RepositoryID      int64             `json:"repositoryID"`
	OwnerID           int64             `json:"ownerID"`
	Visibility        string            `json:"visibility"` // private unless said
	Ref               string            `json:"ref"`        // refs/heads/main unless said
	RefProtected      *bool             `json:"refProtected"`
	SHA               string            `json:"sha"`
	HeadSHA           string            `json:"headSHA"`      // of a pull request, whose sha is a merge commit
	Workflow          string            `json:"workflow"`     // path of its file
	WorkflowName      string            `json:"workflowName"` // its name; the path, like at GitHub, if it has none
	JobWorkflowRef    string            `json:"jobWorkflowRef"`
	Event             string            `json:"event"` // push unless said
	RunID             int64             `json:"runID"`
	RunNumber         int64             `json:"runNumber"`
	RunAttempt        int64             `json:"runAttempt"`
	Actor             string            `json:"actor"`
	ActorID           int64             `json:"actorID"`
	TriggeringActor   string            `json:"triggeringActor"`
	Environment       string            `json:"environment"`
	HeadRef           string            `json:"headRef"`
	BaseRef           string            `json:"baseRef"`
	IDTokenPermission *bool             `json:"idTokenPermission"` // true unless said
	Permissions       map[string]string `json:"permissions"`       // of GITHUB_TOKEN; what the example workflow asks for unless said

	pullChange // what the event is about, for pull_request and pull_request_target

	Bearer    string    `json:"bearer"` // for ID tokens; made here
	CreatedAt time.Time `json:"createdAt"`
}

// registerRun starts a workflow run, in a repository that is made if it is new, and answers what its steps see.
func (s *Server) registerRun(w http.ResponseWriter, r *http.Request) {
	run := &workflowRun{}
	if err := readJSON(r, run); err != nil {
		s.refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	attempts := s.state.attempts(run.RunID)
	err := run.repeat(attempts)
	var repo *repository
	if err == nil {
		repo, err = s.placeOf(run)
	}
	if err == nil && len(attempts) == 0 {
		err = s.pullOf(run, repo)
	}
	if err != nil {
		s.refuse(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	s.complete(run, repo)
	made := &token{
		Value: "ghs_" + randomText(classicTokenChars), AppID: actionsAppID, AppSlug: actionsAppSlug,
		Repositories: []string{repo.fullName()}, Permissions: run.Permissions, ExpiresAt: s.now().Add(24 * time.Hour),
	}
	s.state.Tokens[made.Value] = made
	s.state.Runs = append(s.state.Runs, run)
	s.saver.changed()
	s.writeJSON(w, http.StatusCreated, map[string]any{
		"env": s.environmentOf(run, made.Value), "event": s.payloadOf(run, repo),
		"runID": run.RunID, "runNumber": run.RunNumber, "runAttempt": run.RunAttempt, "sha": run.SHA,
	})
}

// placeOf finds or makes the repository of a run.
func (s *Server) placeOf(run *workflowRun) (*repository, error) {
	if run.Repository == "" {
		run.Repository = "acme/storefront"
	}
	owner, name, ok := strings.Cut(run.Repository, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("repository %q: want owner/name", run.Repository)
	}
	for _, sha := range []string{run.SHA, run.HeadSHA} {
		if sha != "" && !shaPattern.MatchString(sha) {
			return nil, errors.New("sha: want 40 hex digits")
		}
	}
	repo := s.state.repository(owner, name)
	if repo == nil {
		ownerID := run.OwnerID
		for _, other := range s.state.Repositories {
			if ownerID == 0 && strings.EqualFold(other.Owner, owner) {
				ownerID = other.OwnerID
			}
		}
		repo = &repository{
			ID: or(run.RepositoryID, s.state.id), OwnerID: or(ownerID, s.state.id), Owner: owner, Name: name,
			Installation: s.state.installationOf(owner), Visibility: "private", RunNumbers: map[string]int64{}, CreatedAt: s.now().Truncate(time.Second),
		}
		s.state.Repositories[strings.ToLower(run.Repository)] = repo
	}
	if run.Visibility != "" {
		repo.Visibility = run.Visibility
	}
	return repo, nil
}

func or(n int64, otherwise func() int64) int64 {
	if n != 0 {
		return n
	}
	return otherwise()
}

// repeat makes run the next attempt of a run that is known. GitHub runs the same workflow at the same commit for the
// same event again, so whoever asks for another is mistaken.
// https://docs.github.com/en/actions/how-tos/manage-workflow-runs/re-run-workflows-and-jobs
func (run *workflowRun) repeat(attempts []*workflowRun) error {
	if len(attempts) == 0 {
		return nil
	}
	first := attempts[0]
	for _, same := range []struct {
		name  string
		asked *string
		first string
	}{
		{"repository", &run.Repository, first.Repository},
		{"workflow", &run.Workflow, first.Workflow},
		{"sha", &run.SHA, first.SHA},
		{"ref", &run.Ref, first.Ref},
		{"event", &run.Event, first.Event},
		{"actor", &run.Actor, first.Actor},
		{"headSHA", &run.HeadSHA, first.HeadSHA},
		{"headRef", &run.HeadRef, first.HeadRef},
		{"baseRef", &run.BaseRef, first.BaseRef},
		{"workflowName", &run.WorkflowName, first.WorkflowName},
		{"jobWorkflowRef", &run.JobWorkflowRef, first.JobWorkflowRef},
		{"environment", &run.Environment, first.Environment},
	} {
		if *same.asked != "" && !strings.EqualFold(*same.asked, same.first) {
			return fmt.Errorf("%s: a re-run of run %d has %q, got %q", same.name, run.RunID, same.first, *same.asked)
		}
		*same.asked = same.first
	}
	if run.RunNumber != 0 && run.RunNumber != first.RunNumber {
		return fmt.Errorf("runNumber: a re-run of run %d has %d, got %d", run.RunID, first.RunNumber, run.RunNumber)
	}
	run.RunNumber, run.ActorID, run.pullChange = first.RunNumber, first.ActorID, first.pullChange
	if first.Fork && first.Event == "pull_request" {
		run.IDTokenPermission, run.Permissions = first.IDTokenPermission, first.Permissions
	}
	if run.RefProtected == nil {
		run.RefProtected = first.RefProtected // of now at GitHub: a branch may be protected meanwhile
	}
	for _, earlier := range attempts {
		run.RunAttempt = max(run.RunAttempt, earlier.RunAttempt+1)
	}
	return nil
}

// complete fills what was not said.
func (s *Server) complete(run *workflowRun, repo *repository) {
	fill := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	run.RepositoryID, run.OwnerID = or(run.RepositoryID, func() int64 { return repo.ID }), or(run.OwnerID, func() int64 { return repo.OwnerID })
	fill(&run.Visibility, repo.Visibility)
	fill(&run.Workflow, ".github/workflows/deploy.yml")
	run.RunID = or(run.RunID, s.state.id)
	run.RunNumber = or(run.RunNumber, func() int64 { return repo.RunNumbers[run.Workflow] + 1 })
	repo.RunNumbers[run.Workflow] = max(repo.RunNumbers[run.Workflow], run.RunNumber)
	run.RunAttempt = max(run.RunAttempt, 1)
	fill(&run.Ref, "refs/heads/main")
	fill(&run.SHA, fmt.Sprintf("%040x", run.RunID))
	fill(&run.HeadSHA, run.SHA)
	fill(&run.WorkflowName, run.Workflow)
	fill(&run.JobWorkflowRef, run.workflowRef())
	fill(&run.Event, "push")
	fill(&run.Actor, "octocat")
	fill(&run.TriggeringActor, run.Actor)
	run.ActorID = or(run.ActorID, func() int64 { return octocatID })
	if run.RefProtected == nil {
		run.RefProtected = new(run.Ref == "refs/heads/main")
	}
	if run.IDTokenPermission == nil {
		run.IDTokenPermission = new(true)
	}
	if run.Permissions == nil {
		run.Permissions = map[string]string{"checks": "read", "contents": "read"}
	}
	run.Bearer, run.CreatedAt = randomText(64), s.now()
}

func (run *workflowRun) workflowRef() string {
	return run.Repository + "/" + run.Workflow + "@" + run.Ref
}

func (run *workflowRun) owner() string {
	owner, _, _ := strings.Cut(run.Repository, "/")
	return owner
}

// refName is the short name, and refType what it names: "main", branch; "3/merge", branch; "v1", tag.
func (run *workflowRun) refName() (name, refType string) {
	if tag, ok := strings.CutPrefix(run.Ref, "refs/tags/"); ok {
		return tag, "tag"
	}
	for _, prefix := range []string{"refs/heads/", "refs/pull/"} {
		if name, ok := strings.CutPrefix(run.Ref, prefix); ok {
			return name, "branch"
		}
	}
	return run.Ref, "branch"
}

// environmentOf is what a GitHub-hosted runner gives each step.
// https://docs.github.com/en/actions/reference/workflows-and-actions/variables
func (s *Server) environmentOf(run *workflowRun, githubToken string) map[string]string {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	refName, refType := run.refName()
	env := map[string]string{
		"CI": "true", "GITHUB_ACTIONS": "true",
		"GITHUB_REPOSITORY": run.Repository, "GITHUB_REPOSITORY_ID": number(run.RepositoryID),
		"GITHUB_REPOSITORY_OWNER": run.owner(), "GITHUB_REPOSITORY_OWNER_ID": number(run.OwnerID),
		"GITHUB_REF": run.Ref, "GITHUB_REF_NAME": refName, "GITHUB_REF_TYPE": refType,
		"GITHUB_REF_PROTECTED": strconv.FormatBool(*run.RefProtected), "GITHUB_SHA": run.SHA,
		"GITHUB_WORKFLOW": run.WorkflowName, "GITHUB_WORKFLOW_REF": run.workflowRef(), "GITHUB_WORKFLOW_SHA": run.SHA,
		"GITHUB_RUN_ID": number(run.RunID), "GITHUB_RUN_NUMBER": number(run.RunNumber), "GITHUB_RUN_ATTEMPT": number(run.RunAttempt),
		"GITHUB_EVENT_NAME": run.Event, "GITHUB_ACTOR": run.Actor, "GITHUB_ACTOR_ID": number(run.ActorID),
		"GITHUB_TRIGGERING_ACTOR": run.TriggeringActor, "GITHUB_HEAD_REF": run.HeadRef, "GITHUB_BASE_REF": run.BaseRef,
		"GITHUB_JOB": "deploy", "GITHUB_TOKEN": githubToken,
		"GITHUB_API_URL": s.base, "GITHUB_SERVER_URL": s.base, "GITHUB_GRAPHQL_URL": s.base + "/graphql",
		"RUNNER_OS": "Linux", "RUNNER_ARCH": "X64", "RUNNER_ENVIRONMENT": "github-hosted", "RUNNER_NAME": "GitHub Actions 1",
	}
	if *run.IDTokenPermission {
		query := url.Values{"run": {number(run.RunID)}, "attempt": {number(run.RunAttempt)}, "api-version": {"2.0"}}
		env["ACTIONS_ID_TOKEN_REQUEST_URL"] = s.base + "/oidc/token?" + query.Encode()
		env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = run.Bearer
	}
	return env
}

// payloadOf is the needed part of the event that started the run: the content of the file GITHUB_EVENT_PATH.
func (s *Server) payloadOf(run *workflowRun, repo *repository) map[string]any {
	payload := map[string]any{
		"repository": map[string]any{
			"id": run.RepositoryID, "full_name": run.Repository, "name": repo.Name, "default_branch": "main",
			"private": run.Visibility != "public", "pushed_at": run.CreatedAt.Unix(),
			"owner": map[string]any{"login": run.owner(), "id": run.OwnerID},
		},
		"sender": map[string]any{"login": run.Actor, "id": run.ActorID},
	}
	switch run.Event {
	case "push":
		payload["ref"], payload["after"] = run.Ref, run.SHA
		payload["head_commit"] = map[string]any{"id": run.SHA, "timestamp": timestamp(run.CreatedAt), "message": "change"}
	case "pull_request", "pull_request_target":
		maps.Copy(payload, s.pullPayload(run, repo))
	case "release":
		refName, _ := run.refName()
		payload["action"] = cmp.Or(run.Action, "published")
		payload["release"] = map[string]any{"tag_name": refName, "target_commitish": "main", "draft": false, "prerelease": false, "published_at": timestamp(run.CreatedAt)}
	case "schedule":
		payload["schedule"] = "0 3 * * *"
	}
	return payload
}
