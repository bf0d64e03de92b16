package github

import (
	"crypto/sha1" // a commit's name, as git makes them; guards nothing
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// octocatID is the account of everybody whose account does not matter.
const octocatID = 583231

// pullChange is what happens to a pull request, as a workflow run or POST /_lab/pulls tells it.
type pullChange struct {
	// PullRequest is its number. One that is not there is opened, with a head and a base if none are said.
	PullRequest int `json:"pullRequest"`
	// Action is opened, reopened, synchronize, closed, labeled, unlabeled or edited; opened for a new one, else synchronize.
	Action string `json:"action"`
	// Merged says that closed means merged.
	Merged bool `json:"merged"`
	// Labels are all that it has afterwards; missing: as before.
	Labels []string `json:"labels"`
	// Label is the one that was added or removed; of labeled, the last of Labels unless said.
	Label string `json:"label"`
	// Fork says that its commits are of somebody else's repository; it counts when it is opened.
	Fork  bool   `json:"fork"`
	Draft bool   `json:"draft"`
	Title string `json:"title"`
}

// changePull answers POST /_lab/pulls: what happens to a pull request without a workflow run. It takes the fields of
// pullChange, and repository, actor, headSHA, headRef and baseRef as a run does; it answers the payload of the event.
func (s *Server) changePull(w http.ResponseWriter, r *http.Request) {
	run := &workflowRun{}
	if err := readJSON(r, run); err != nil {
		s.refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	run.Event = "pull_request"
	s.mu.Lock()
	defer s.mu.Unlock()
	repo, err := s.placeOf(run)
	var pr *pullRequest
	if err == nil {
		pr, err = s.changed(run, repo)
	}
	if err != nil {
		s.refuse(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	run.RepositoryID, run.OwnerID, run.Visibility, run.CreatedAt = repo.ID, repo.OwnerID, repo.Visibility, s.now()
	s.saver.changed()
	payload := s.payloadOf(run, repo)
	payload["number"] = pr.Number
	s.writeJSON(w, http.StatusOK, payload)
}

// ofPull reports whether a run is of a pull request.
func (run *workflowRun) ofPull() bool {
	return run.PullRequest != 0 || strings.HasPrefix(run.Event, "pull_request")
}

// pullOf makes or changes the pull request of a run, and fills in what follows from it.
func (s *Server) pullOf(run *workflowRun, repo *repository) error {
	if !run.ofPull() {
		return nil
	}
	if run.Event == "" {
		run.Event = "pull_request"
	}
	if run.PullRequest == 0 {
		number, err := strconv.Atoi(path.Base(path.Dir(run.Ref))) // refs/pull/N/merge
		if err != nil {
			number = 1
		}
		run.PullRequest = number
	}
	pr, err := s.changed(run, repo)
	if err != nil {
		return err
	}
	run.refOf(pr)
	if pr.ForkID != 0 && run.Event == "pull_request" { // a stranger's code runs: nothing that it could misuse
		run.IDTokenPermission = new(false)
		run.Permissions = readOnly(run.Permissions)
	}
	return nil
}

// refOf is the merge branch of a pull request; the branch that it was merged into, once it is; and always that branch
// for pull_request_target.
//
// https://docs.github.com/en/actions/reference/workflows-and-actions/variables
func (run *workflowRun) refOf(pr *pullRequest) {
	base := "refs/heads/" + pr.BaseRef
	switch {
	case run.Event == "pull_request_target":
		run.setDefaults(base, pr.BaseSHA)
	case pr.Merged:
		run.setDefaults(base, pr.MergeSHA)
	default:
		run.setDefaults(fmt.Sprintf("refs/pull/%d/merge", pr.Number), pr.MergeSHA)
	}
	run.HeadSHA, run.HeadRef, run.BaseRef = pr.headSHA(), pr.HeadRef, pr.BaseRef
	run.Fork = pr.ForkID != 0
	run.Labels, run.Merged = pr.Labels, pr.Merged
}

func (run *workflowRun) setDefaults(ref, sha string) {
	if run.Ref == "" {
		run.Ref = ref
	}
	if run.SHA == "" {
		run.SHA = sha
	}
}

// readOnly is what is left of a token's permissions for a fork.
func readOnly(permissions map[string]string) map[string]string {
	if permissions == nil {
		return nil
	}
	left := maps.Clone(permissions)
	for name := range left {
		if left[name] == "write" {
			left[name] = "read"
		}
	}
	return left
}

// changed lets happen to a pull request what a run says.
func (s *Server) changed(run *workflowRun, repo *repository) (*pullRequest, error) {
	if run.PullRequest <= 0 {
		return nil, errors.New("pullRequest: want a positive number")
	}
	pr := s.pull(repo.fullName(), strconv.Itoa(run.PullRequest))
	now := s.now().Truncate(time.Second)
	isNew := pr == nil
	if isNew {
		pr = s.openPull(run, repo, now)
	}
	switch {
	case run.Action == "" && isNew:
		run.Action = "opened"
	case run.Action == "":
		run.Action = "synchronize"
	}
	switch run.Action {
	case "opened", "reopened":
		if pr.Merged {
			return nil, fmt.Errorf("pull request %d is merged: it cannot be %s", pr.Number, run.Action)
		}
		pr.State, pr.ClosedAt = "open", time.Time{}
	case "closed":
		pr.State, pr.ClosedAt, pr.Merged = "closed", now, pr.Merged || run.Merged
	case "synchronize", "labeled", "unlabeled", "edited", "ready_for_review", "converted_to_draft":
	default:
		return nil, fmt.Errorf("action %q: want opened, reopened, synchronize, closed, labeled, unlabeled or edited", run.Action)
	}
	if run.Action == "synchronize" && run.HeadSHA == "" && !isNew {
		run.HeadSHA = commitName(pr.ID, len(pr.HeadSHAs))
	}
	if run.HeadSHA != "" && run.HeadSHA != pr.headSHA() {
		pr.HeadSHAs = append(slices.DeleteFunc(pr.HeadSHAs, func(sha string) bool { return sha == run.HeadSHA }), run.HeadSHA)
		pr.MergeSHA = commitName(pr.ID, -len(pr.HeadSHAs))
	}
	if run.Labels != nil {
		pr.Labels = run.Labels
	}
	pr.UpdatedAt = now
	s.record(written{Kind: "pull_request", ID: pr.ID, Repository: pr.Repository, Issue: pr.Number, SHA: pr.headSHA(), Name: run.Action, State: pr.State})
	return pr, nil
}

func (s *Server) openPull(run *workflowRun, repo *repository, now time.Time) *pullRequest {
	pr := &pullRequest{
		ID: s.state.id(), Repository: repo.fullName(), Number: run.PullRequest, Title: run.Title, State: "open", Draft: run.Draft,
		Author: run.Actor, HeadRef: run.HeadRef, BaseRef: run.BaseRef, CreatedAt: now,
	}
	for field, value := range map[*string]string{
		&pr.Title: fmt.Sprintf("Change %d", pr.Number), &pr.Author: "octocat", &pr.HeadRef: fmt.Sprintf("change-%d", pr.Number), &pr.BaseRef: "main",
	} {
		if *field == "" {
			*field = value
		}
	}
	pr.BaseSHA = s.commitOf(repo.fullName(), pr.BaseRef)
	if pr.BaseSHA == "" {
		pr.BaseSHA = commitName(repo.ID, 0)
	}
	head := run.HeadSHA
	if head == "" {
		head = commitName(pr.ID, 0)
	}
	pr.HeadSHAs, pr.MergeSHA = []string{head}, commitName(pr.ID, -1)
	if run.Fork {
		pr.ForkID, pr.ForkOwner = s.state.id(), "stranger"
	}
	s.state.Pulls = append(s.state.Pulls, pr)
	return pr
}

// commitName is a commit that is there because it is needed.
func commitName(id int64, n int) string {
	sum := sha1.Sum(fmt.Appendf(nil, "%d %d", id, n))
	return hex.EncodeToString(sum[:])
}

// pullPayload is the part of the event that is of the pull request.
func (s *Server) pullPayload(run *workflowRun, repo *repository) map[string]any {
	pr := s.pull(repo.fullName(), strconv.Itoa(run.PullRequest))
	if pr == nil {
		return map[string]any{}
	}
	end := func(ref, sha string, repo *repository, fork bool) map[string]any {
		return map[string]any{"ref": ref, "sha": sha, "repo": map[string]any{
			"id": repo.ID, "full_name": repo.fullName(), "name": repo.Name, "fork": fork, "owner": map[string]any{"login": repo.Owner, "id": repo.OwnerID},
		}}
	}
	payload := map[string]any{
		"action": run.Action, "number": pr.Number,
		"pull_request": map[string]any{
			"id": pr.ID, "number": pr.Number, "title": pr.Title, "state": pr.State, "merged": pr.Merged, "draft": pr.Draft,
			"labels": labelShapes(s.base, pr), "merge_commit_sha": pr.MergeSHA, "user": map[string]any{"login": pr.Author, "id": octocatID},
			"created_at": timestamp(pr.CreatedAt), "updated_at": timestamp(pr.UpdatedAt), "closed_at": timestamp(pr.ClosedAt),
			"html_url": s.base + "/" + pr.Repository + "/pull/" + strconv.Itoa(pr.Number),
			"head":     end(pr.HeadRef, pr.headSHA(), s.headRepository(pr, repo), pr.ForkID != 0),
			"base":     end(pr.BaseRef, pr.BaseSHA, repo, false),
		},
	}
	label := run.Label
	if run.Action == "labeled" && label == "" && len(pr.Labels) > 0 {
		label = pr.Labels[len(pr.Labels)-1]
	}
	if label != "" {
		payload["label"] = map[string]any{"name": label}
	}
	return payload
}

// commitOf is the commit of a branch: of its last workflow run. A commit is its own.
func (s *Server) commitOf(repository, ref string) string {
	if shaPattern.MatchString(ref) {
		return ref
	}
	for _, run := range slices.Backward(s.state.Runs) {
		branch := strings.TrimPrefix(run.Ref, "refs/heads/")
		if strings.EqualFold(run.Repository, repository) && branch == strings.TrimPrefix(ref, "heads/") {
			return run.SHA
		}
	}
	return ""
}
