package cli

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// GitHub is what the commands ask GitHub.
type GitHub struct {
	Repositories Repositories
	Manifests    Manifests
}

// Repositories are those that GitHub keeps.
type Repositories interface {
	// Repository returns the one of that owner/name.
	Repository(ctx context.Context, name string) (Repository, error)
}

// Repository is a repository on GitHub.
type Repository struct {
	Name        string // owner/name as GitHub writes it, which policy goes by
	ID, OwnerID int64  // numbers that are never given again
}

// Manifests make GitHub Apps of what was said about them.
type Manifests interface {
	// ConvertManifest takes the code that GitHub sent back, once, and returns the
	// App that was registered.
	ConvertManifest(ctx context.Context, code string) (GitHubApp, error)
}

// GitHubApp is a registered GitHub App. Its key is a secret.
type GitHubApp struct {
	ID   int64
	Slug string // its name in addresses
	Page string // address of its page
	Key  []byte // PEM
}

// lookupTimeout is how long a command waits for GitHub where it can do without.
const lookupTimeout = 8 * time.Second

// gitHubComURL is GitHub's own address.
const gitHubComURL = "https://github.com"

// gitHubPlace is where a GitHub is.
type gitHubPlace struct {
	web    string // of people, without a slash at the end
	api    string // of the REST API
	issuer string // of ID tokens
}

// gitHubAt is where the parts of the GitHub at that address are: github.com, a
// tenant of ghe.com, or a GitHub Enterprise Server.
// https://docs.github.com/en/enterprise-server@latest/rest/enterprise-admin#endpoint-urls
// https://docs.github.com/en/enterprise-cloud@latest/admin/data-residency/network-details-for-ghecom
func gitHubAt(address string) (gitHubPlace, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return gitHubPlace{}, &fault{what: "this is no address of a GitHub", why: fmt.Sprintf("got %q, want an address such as %s", visible(address), gitHubComURL), next: "give --github-url"}
	}
	web := u.Scheme + "://" + u.Host + strings.TrimRight(u.Path, "/")
	switch host := strings.ToLower(u.Host); {
	case host == "github.com":
		return gitHubPlace{web, "https://api.github.com", "https://token.actions.githubusercontent.com"}, nil
	case strings.HasSuffix(host, ".ghe.com"):
		return gitHubPlace{web, "https://api." + host, "https://token.actions." + host}, nil
	}
	return gitHubPlace{web, web + "/api/v3", web + "/_services/token"}, nil
}
