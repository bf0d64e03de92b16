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

// maxComment is GitHub's bound of a comment's body, in characters.
const maxComment = 65536

// issueComment is a comment on a pull request: there are no other issues here.
type issueComment struct {
	ID         int64     `json:"id"`
	Repository string    `json:"repository"`
	Issue      int       `json:"issue"`
	Body       string    `json:"body"`
	AppID      int64     `json:"appID,omitempty"`
	AppSlug    string    `json:"appSlug,omitempty"`
	Author     string    `json:"author"`
	AuthorID   int64     `json:"authorID"`
	CreatedAt  time.Time `json:"createdAt"`
	UpdatedAt  time.Time `json:"updatedAt"`
}

// bodyOf reads and checks the body of a comment; refused is set if GitHub would not take it.
func bodyOf(req *apiRequest) (body string, refused *reply) {
	var asked struct {
		Body string `json:"body"`
	}
	if err := json.Unmarshal(req.body, &asked); err != nil {
		return "", new(fail(http.StatusBadRequest, "Problems parsing JSON"))
	}
	switch {
	case strings.TrimSpace(asked.Body) == "":
		return "", new(invalid("IssueComment", "body", "body can't be blank"))
	case utf8.RuneCountInString(asked.Body) > maxComment:
		return "", new(invalid("IssueComment", "body", "body is too long (maximum is 65536 characters)"))
	}
	return asked.Body, nil
}

func (s *Server) createComment(req *apiRequest) reply {
	pr := s.pull(req.params["owner"]+"/"+req.params["repo"], req.params["issue_number"])
	if pr == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	body, refused := bodyOf(req)
	if refused != nil {
		return *refused
	}
	now := s.now().Truncate(time.Second)
	made := &issueComment{
		ID: s.state.id(), Repository: pr.Repository, Issue: pr.Number, Body: body, CreatedAt: now, UpdatedAt: now,
		AppID: req.caller.AppID, AppSlug: req.caller.AppSlug,
	}
	made.Author, made.AuthorID = req.caller.author()
	s.state.Comments = append(s.state.Comments, made)
	s.record(made.written("created"))
	return reply{status: http.StatusCreated, body: s.commentShape(made)}
}

// comment finds the one that the path names.
func (s *Server) comment(req *apiRequest) *issueComment {
	for _, c := range s.state.Comments {
		if strconv.FormatInt(c.ID, 10) == req.params["comment_id"] && strings.EqualFold(c.Repository, req.params["owner"]+"/"+req.params["repo"]) {
			return c
		}
	}
	return nil
}

func (s *Server) getComment(req *apiRequest) reply {
	c := s.comment(req)
	if c == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	return reply{status: http.StatusOK, body: s.commentShape(c)}
}

// listComments lists the oldest first.
func (s *Server) listComments(req *apiRequest) reply {
	pr := s.pull(req.params["owner"]+"/"+req.params["repo"], req.params["issue_number"])
	if pr == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	return listed(s, req, s.commentsOf(pr), s.commentShape)
}

func (s *Server) commentsOf(pr *pullRequest) []*issueComment {
	var found []*issueComment
	for _, c := range s.state.Comments {
		if c.Issue == pr.Number && c.Repository == pr.Repository {
			found = append(found, c)
		}
	}
	return found
}

// mayChange reports whether the caller may change a comment: an App its own ones alone.
func (c *issueComment) mayChange(by *token) bool { return by.AppID == 0 || by.AppID == c.AppID }

func (s *Server) updateComment(req *apiRequest) reply {
	c := s.comment(req)
	if c == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	if !c.mayChange(req.caller) {
		return notAccessible(req.caller, "")
	}
	body, refused := bodyOf(req)
	if refused != nil {
		return *refused
	}
	c.Body, c.UpdatedAt = body, s.now().Truncate(time.Second)
	s.record(c.written("updated"))
	return reply{status: http.StatusOK, body: s.commentShape(c)}
}

func (s *Server) deleteComment(req *apiRequest) reply {
	c := s.comment(req)
	if c == nil {
		return fail(http.StatusNotFound, "Not Found")
	}
	s.state.Comments = slices.DeleteFunc(s.state.Comments, func(other *issueComment) bool { return other == c })
	s.record(c.written("deleted"))
	return reply{status: http.StatusNoContent}
}

// written is c for the history.
func (c *issueComment) written(state string) written {
	return written{Kind: "comment", ID: c.ID, Repository: c.Repository, Issue: c.Issue, Name: c.Author, State: state, Text: c.Body}
}

// authorShape is of an App's account, or a person's.
func (s *Server) authorShape(c *issueComment) map[string]any {
	shape := s.account(c.Author, c.AuthorID)
	shape["type"] = "User"
	if c.AppID != 0 {
		shape["type"] = "Bot"
	}
	return shape
}

func (s *Server) commentShape(c *issueComment) map[string]any {
	id := strconv.FormatInt(c.ID, 10)
	issue := strconv.Itoa(c.Issue)
	shape := map[string]any{
		"id": c.ID, "node_id": "IC_" + id, "body": c.Body, "user": s.authorShape(c), "author_association": "NONE",
		"url":        s.base + "/repos/" + c.Repository + "/issues/comments/" + id,
		"html_url":   s.base + "/" + c.Repository + "/pull/" + issue + "#issuecomment-" + id,
		"issue_url":  s.base + "/repos/" + c.Repository + "/issues/" + issue,
		"created_at": timestamp(c.CreatedAt), "updated_at": timestamp(c.UpdatedAt), "performed_via_github_app": nil,
	}
	if c.AppID != 0 {
		shape["performed_via_github_app"] = s.appShape(c.AppID, c.AppSlug)
	}
	return shape
}
