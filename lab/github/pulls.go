package github

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pullRequest is one pull request.
type pullRequest struct {
	ID         int64     `json:"id"`
	Repository string    `json:"repository"`
	Number     int       `json:"number"`
	Title      string    `json:"title"`
	State      string    `json:"state"`
	Merged     bool      `json:"merged"`
	Draft      bool      `json:"draft"`
	Labels     []string  `json:"labels"`
	Author     string    `json:"author"`
	HeadRef    string    `json:"headRef"`
	HeadSHAs   []string  `json:"headSHAs"` // the newest one last
	ForkID     int64     `json:"forkID"`   // of the repository that its commits are of; 0: of this one
	ForkOwner  string    `json:"forkOwner"`
	BaseRef    string    `json:"baseRef"`
	BaseSHA    string    `json:"baseSHA"`
	MergeSHA   string    `json:"mergeSHA"`
	CreatedAt  time.Time `json:"createdAt"`
	UpdatedAt  time.Time `json:"updatedAt"`
	ClosedAt   time.Time `json:"closedAt,omitzero"`
}

func (pr *pullRequest) headSHA() string { return pr.HeadSHAs[len(pr.HeadSHAs)-1] }

// pull finds a pull request; nil if there is none.
func (s *Server) pull(repository, number string) *pullRequest {
	for _, pr := range s.state.Pulls {
		if strconv.Itoa(pr.Number) == number && strings.EqualFold(pr.Repository, repository) {
			return pr
		}
	}
	return nil
}

func (s *Server) getPull(req *apiRequest) reply {
	pr := s.pull(req.params["owner"]+"/"+req.params["repo"], req.params["pull_number"])
	if pr == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	shape := s.pullShape(pr)
	for _, name := range []string{"additions", "changed_files", "comments", "commits", "deletions", "review_comments"} {
		shape[name] = 0
	}
	shape["comments"], shape["commits"], shape["merged"] = len(s.commentsOf(pr)), len(pr.HeadSHAs), pr.Merged
	shape["mergeable"], shape["mergeable_state"], shape["maintainer_can_modify"] = true, "clean", false
	shape["merged_by"] = nil
	if pr.Merged {
		shape["merged_by"] = s.account("octocat", octocatID)
	}
	return reply{status: http.StatusOK, body: shape}
}

// listPulls sorts by the time of creation or change.
func (s *Server) listPulls(req *apiRequest) reply {
	query := req.http.URL.Query()
	state := cmp.Or(query.Get("state"), "open")
	var found []*pullRequest
	for _, pr := range s.state.Pulls {
		if strings.EqualFold(pr.Repository, req.params["owner"]+"/"+req.params["repo"]) && (state == "all" || pr.State == state) &&
			(!query.Has("base") || query.Get("base") == pr.BaseRef) {
			found = append(found, pr)
		}
	}
	by := func(a, b *pullRequest) int { return cmp.Compare(a.ID, b.ID) }
	ascending := query.Get("direction") == "asc"
	if query.Get("sort") == "updated" {
		by = func(a, b *pullRequest) int { return cmp.Or(a.UpdatedAt.Compare(b.UpdatedAt), cmp.Compare(a.ID, b.ID)) }
		ascending = query.Get("direction") != "desc"
	}
	slices.SortFunc(found, by)
	if !ascending {
		slices.Reverse(found)
	}
	return listed(s, req, found, s.pullShape)
}

func (s *Server) listPullsOfCommit(req *apiRequest) reply {
	sha := req.params["commit_sha"]
	if !shaPattern.MatchString(sha) {
		return fail(http.StatusUnprocessableEntity, "No commit found for SHA: "+sha)
	}
	var found []*pullRequest
	for _, pr := range s.state.Pulls {
		if strings.EqualFold(pr.Repository, req.params["owner"]+"/"+req.params["repo"]) && slices.Contains(pr.HeadSHAs, sha) {
			found = append(found, pr)
		}
	}
	return listed(s, req, found, s.pullShape)
}

func (s *Server) pullShape(pr *pullRequest) map[string]any {
	number := strconv.Itoa(pr.Number)
	repository := s.base + "/repos/" + pr.Repository
	address, issue, page := repository+"/pulls/"+number, repository+"/issues/"+number, s.base+"/"+pr.Repository+"/pull/"+number
	owner, _, _ := strings.Cut(pr.Repository, "/")
	base := s.state.repository(owner, strings.TrimPrefix(pr.Repository, owner+"/"))
	link := func(to string) map[string]any { return map[string]any{"href": to} }
	shape := map[string]any{
		"id": pr.ID, "node_id": "PR_" + strconv.FormatInt(pr.ID, 10), "number": pr.Number, "title": pr.Title, "body": nil,
		"state": pr.State, "locked": false, "draft": pr.Draft, "user": s.account(pr.Author, octocatID), "author_association": "CONTRIBUTOR",
		"assignee": nil, "milestone": nil, "auto_merge": nil, "labels": labelShapes(s.base, pr), "merge_commit_sha": text(pr.MergeSHA),
		"head": s.endShape(pr.HeadRef, pr.headSHA(), s.headRepository(pr, base)), "base": s.endShape(pr.BaseRef, pr.BaseSHA, base),
		"created_at": timestamp(pr.CreatedAt), "updated_at": timestamp(pr.UpdatedAt), "closed_at": timestamp(pr.ClosedAt), "merged_at": nil,
		"url": address, "html_url": page, "diff_url": page + ".diff", "patch_url": page + ".patch", "issue_url": issue,
		"comments_url": issue + "/comments", "commits_url": address + "/commits", "statuses_url": repository + "/statuses/" + pr.headSHA(),
		"review_comments_url": address + "/comments", "review_comment_url": repository + "/pulls/comments{/number}",
		"_links": map[string]any{
			"self": link(address), "html": link(page), "issue": link(issue), "comments": link(issue + "/comments"),
			"review_comments": link(address + "/comments"), "review_comment": link(repository + "/pulls/comments{/number}"),
			"commits": link(address + "/commits"), "statuses": link(repository + "/statuses/" + pr.headSHA()),
		},
	}
	if pr.Merged {
		shape["merged_at"] = timestamp(pr.ClosedAt)
	}
	return shape
}

func labelShapes(address string, pr *pullRequest) []any {
	shapes := []any{}
	for i, name := range pr.Labels {
		shapes = append(shapes, map[string]any{
			"id": i + 1, "node_id": "LA_" + strconv.Itoa(i+1), "name": name, "description": "", "color": "ededed", "default": false,
			"url": address + "/repos/" + pr.Repository + "/labels/" + strconv.Itoa(i+1),
		})
	}
	return shapes
}

// headRepository is the fork, or base.
func (s *Server) headRepository(pr *pullRequest, base *repository) *repository {
	if pr.ForkID == 0 {
		return base
	}
	return &repository{ID: pr.ForkID, OwnerID: pr.ForkID, Owner: pr.ForkOwner, Name: base.Name, Visibility: base.Visibility, CreatedAt: pr.CreatedAt}
}

func (s *Server) endShape(ref, sha string, repo *repository) map[string]any {
	shape := s.repositoryShape(repo)
	shape["fork"] = s.state.repository(repo.Owner, repo.Name) == nil
	return map[string]any{
		"label": repo.Owner + ":" + ref, "ref": ref, "sha": sha, "user": s.account(repo.Owner, repo.OwnerID), "repo": shape,
	}
}
