package main

import (
	"cmp"
	"context"
	"os"

	"github.com/inhaul/inhaul/cli"
	"github.com/inhaul/inhaul/internal/github"
)

// onGitHub asks a GitHub: with the token of the environment, if there is one, about
// repositories, some of which are private, and without one where a registration is
// exchanged.
type onGitHub struct{ asker, anonymous *github.Client }

var (
	_ cli.Repositories = onGitHub{}
	_ cli.Manifests    = onGitHub{}
)

// atGitHub returns what can be asked of the GitHub whose REST API is at api.
func atGitHub(api string) (cli.GitHub, error) {
	anonymous, err := github.NewAnonymous(github.TokenConfig{BaseURL: api})
	if err != nil {
		return cli.GitHub{}, err
	}
	there := onGitHub{anonymous, anonymous}
	// The names are those that GitHub's own program reads: https://cli.github.com/manual/gh_help_environment
	if token := cmp.Or(os.Getenv("GH_TOKEN"), os.Getenv("GITHUB_TOKEN")); token != "" {
		if there.asker, err = github.NewToken(github.TokenConfig{BaseURL: api, Token: token}); err != nil {
			return cli.GitHub{}, err
		}
	}
	return cli.GitHub{Repositories: there, Manifests: there}, nil
}

// Repository implements cli.Repositories.
func (g onGitHub) Repository(ctx context.Context, name string) (cli.Repository, error) {
	n, err := g.asker.RepositoryNumbers(ctx, name)
	return cli.Repository{Name: n.FullName, ID: n.ID, OwnerID: n.Owner.ID}, err
}

// ConvertManifest implements cli.Manifests.
func (g onGitHub) ConvertManifest(ctx context.Context, code string) (cli.GitHubApp, error) {
	app, err := g.anonymous.ConvertManifest(ctx, code)
	return cli.GitHubApp{ID: app.ID, Slug: app.Slug, Page: app.HTMLURL, Key: []byte(app.PEM)}, err
}
