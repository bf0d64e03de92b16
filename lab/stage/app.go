package stage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/inhaul/inhaul/lab/image"
	"github.com/inhaul/inhaul/lab/lifecycle"
)

// App is an App resource as the stage's platform owner writes it.
type App struct {
	Name         string
	Repository   string
	RepositoryID int64
	PublicKey    string // PEM; besides the stand-in's OIDC issuer
}

// AllowApp lets a repository's main branch deploy an app to production, and
// develop to staging.
func (s *Stage) AllowApp(ctx context.Context, app App) error {
	images := s.Lab.Registry() + "/" + app.Repository
	manifest := fmt.Sprintf(`apiVersion: inhaul.dev/v1alpha1
kind: App
metadata: {name: %[1]s, namespace: inhaul}
spec:
  intents: %[2]s-intents
  images: [%[2]s]
  signers:
    - issuer: %[3]s/oidc
%[5]s  rules:
    - name: main to production
      environments: [production]
      repositoryID: %[4]d
      refs: [refs/heads/main]
      allowRollback: true
    - name: develop to staging
      environments: [staging]
      repositoryID: %[4]d
      refs: [refs/heads/develop]
      allowForce: true
  environments:
    - {name: production, namespace: %[1]s-production, production: true}
    - {name: staging, namespace: %[1]s-staging}
`, app.Name, images, s.githubURL(), app.RepositoryID, signer(app.PublicKey))
	_, err := s.Kubectl(ctx, manifest, "apply", "-f", "-")
	return err
}

func signer(publicKey string) string {
	if publicKey == "" {
		return ""
	}
	return fmt.Sprintf("    - publicKey: %q\n", publicKey)
}

// ImageWithoutBuilder makes up for a missing BuildKit: an image that says which
// commit it is gets pushed, and the Action is told to use it.
func (s *Stage) ImageWithoutBuilder(ctx context.Context, w *Workflow) error {
	if s.Lab.Programs.Buildx != "" {
		return nil
	}
	commit, err := git(ctx, w.Dir, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	file := filepath.Join(s.Lab.Path("stage"), "commit")
	if err := os.WriteFile(file, []byte(commit), 0o755); err != nil {
		return err
	}
	img, err := image.Binary(file, nil, image.Settings{})
	if err != nil {
		return err
	}
	reference, err := lifecycle.Push(ctx, s.Lab, w.Repository+":commit-"+commit, img)
	if err != nil {
		return err
	}
	if w.Inputs == nil {
		w.Inputs = map[string]string{}
	}
	w.Inputs["image"] = reference
	return nil
}
