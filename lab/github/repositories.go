package github

import (
	"net/http"
	"strconv"
	"strings"
)

func (s *Server) getRepository(req *apiRequest) reply {
	repo := s.state.repository(req.params["owner"], req.params["repo"])
	return reply{status: http.StatusOK, body: s.repositoryShape(repo)}
}

// repositoryShape has all that GitHub's description requires, most of it addresses that lead nowhere here.
func (s *Server) repositoryShape(repo *repository) map[string]any {
	address := s.base + "/repos/" + repo.fullName()
	page := s.base + "/" + repo.fullName()
	created := timestamp(repo.CreatedAt)
	shape := map[string]any{
		"id": repo.ID, "node_id": "R_" + strconv.FormatInt(repo.ID, 10), "name": repo.Name, "full_name": repo.fullName(),
		"owner": s.account(repo.Owner, repo.OwnerID), "private": repo.Visibility != "public", "visibility": repo.Visibility,
		"description": nil, "homepage": nil, "language": nil, "license": nil, "mirror_url": nil, "fork": false,
		"default_branch": "main", "archived": false, "disabled": false,
		"url": address, "html_url": page, "clone_url": page + ".git", "svn_url": page,
		"git_url": strings.Replace(page, "http", "git", 1) + ".git", "ssh_url": "git@lab:" + repo.fullName() + ".git",
		"created_at": created, "updated_at": created, "pushed_at": created,
	}
	for _, name := range []string{"issues", "projects", "wiki", "pages", "discussions", "downloads"} {
		shape["has_"+name] = false
	}
	for _, name := range []string{
		"forks", "forks_count", "open_issues", "open_issues_count", "size", "stargazers_count", "watchers", "watchers_count",
		"network_count", "subscribers_count",
	} {
		shape[name] = 0
	}
	for name, path := range map[string]string{
		"archive": "{archive_format}{/ref}", "assignees": "assignees{/user}", "blobs": "git/blobs{/sha}", "branches": "branches{/branch}",
		"collaborators": "collaborators{/collaborator}", "comments": "comments{/number}", "commits": "commits{/sha}",
		"compare": "compare/{base}...{head}", "contents": "contents/{+path}", "contributors": "contributors", "deployments": "deployments",
		"downloads": "downloads", "events": "events", "forks": "forks", "git_commits": "git/commits{/sha}", "git_refs": "git/refs{/sha}",
		"git_tags": "git/tags{/sha}", "hooks": "hooks", "issue_comment": "issues/comments{/number}", "issue_events": "issues/events{/number}",
		"issues": "issues{/number}", "keys": "keys{/key_id}", "labels": "labels{/name}", "languages": "languages", "merges": "merges",
		"milestones": "milestones{/number}", "notifications": "notifications{?since,all,participating}", "pulls": "pulls{/number}",
		"releases": "releases{/id}", "stargazers": "stargazers", "statuses": "statuses/{sha}", "subscribers": "subscribers",
		"subscription": "subscription", "tags": "tags", "teams": "teams", "trees": "git/trees{/sha}",
	} {
		shape[name+"_url"] = address + "/" + path
	}
	return shape
}

func (s *Server) account(login string, id int64) map[string]any {
	address := s.base + "/users/" + strings.TrimSuffix(login, "[bot]")
	shape := map[string]any{
		"login": login, "id": id, "node_id": "U_" + strconv.FormatInt(id, 10), "type": "Organization", "site_admin": false,
		"avatar_url": s.base + "/avatars/" + strconv.FormatInt(id, 10), "gravatar_id": "",
		"url": address, "html_url": s.base + "/" + strings.TrimSuffix(login, "[bot]"),
	}
	for name, path := range map[string]string{
		"events": "events{/privacy}", "followers": "followers", "following": "following{/other_user}", "gists": "gists{/gist_id}",
		"organizations": "orgs", "received_events": "received_events", "repos": "repos", "starred": "starred{/owner}{/repo}",
		"subscriptions": "subscriptions",
	} {
		shape[name+"_url"] = address + "/" + path
	}
	return shape
}

func (s *Server) appShape(id int64, slug string) map[string]any {
	const made = "2026-01-01T00:00:00Z"
	return map[string]any{
		"id": id, "slug": slug, "node_id": "A_" + strconv.FormatInt(id, 10), "owner": s.account(slug, id),
		"name": slug, "description": nil, "external_url": s.base, "html_url": s.base + "/apps/" + slug,
		"created_at": made, "updated_at": made, "permissions": s.permissionsOf(id), "events": []string{},
	}
}

// getRateLimit costs nothing of the limit.
func (s *Server) getRateLimit(req *apiRequest) reply {
	m := s.limits.meter(req.caller, s.now())
	core := map[string]any{"limit": m.limit, "used": m.used, "remaining": max(m.limit-m.used, 0), "reset": m.reset.Unix()}
	return reply{status: http.StatusOK, body: map[string]any{"rate": core, "resources": map[string]any{"core": core, "search": core}}}
}
