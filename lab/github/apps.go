package github

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// manifestLifetime is how long GitHub keeps a manifest for the code that it redirects with.
	// https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
	manifestLifetime = time.Hour

	// signedIn is the account that opens the page for new Apps.
	signedIn = "acme"
)

// madeApp is a GitHub App. It is installed in all repositories of its owner.
type madeApp struct {
	ID           int64             `json:"id"`
	Slug         string            `json:"slug"`
	Name         string            `json:"name"`
	ClientID     string            `json:"clientID"`
	PEM          string            `json:"pem"`
	Owner        string            `json:"owner"` // empty: installed everywhere
	Installation int64             `json:"installation"`
	Permissions  map[string]string `json:"permissions"`
	HomePage     string            `json:"homePage"`
	MadeAt       time.Time         `json:"madeAt"`

	labs *rsa.PrivateKey // of the lab's own App, whose key is a file
}

func (a *madeApp) key() (*rsa.PrivateKey, error) {
	if a.labs != nil {
		return a.labs, nil
	}
	return decodeKey([]byte(a.PEM))
}

// installation is the App's in a repository; 0: it is not installed there.
func (a *madeApp) installation(repo *repository) int64 {
	switch {
	case a.Owner == "":
		return repo.Installation
	case strings.EqualFold(a.Owner, repo.Owner):
		return a.Installation
	}
	return 0
}

// app finds an App by its id or client id; nil if there is none.
func (s *Server) app(id string) *madeApp {
	if id == strconv.Itoa(AppID) {
		return &madeApp{ID: AppID, Slug: AppSlug, Name: AppSlug, ClientID: "Iv1.lab", Permissions: s.granted(), labs: s.appKey}
	}
	for _, app := range s.state.Apps {
		if strconv.FormatInt(app.ID, 10) == id || app.ClientID == id {
			return app
		}
	}
	return nil
}

// permissionsOf is for the shape of an App; those of a workflow's App say nothing.
func (s *Server) permissionsOf(id int64) map[string]string {
	if app := s.app(strconv.FormatInt(id, 10)); app != nil {
		return app.Permissions
	}
	return map[string]string{"metadata": "read"}
}

// grant answers POST /_lab/app: {"permissions": {"checks": "write"}} is from now on all that the lab's own App is
// granted; null is as in the beginning. Tokens that are there keep what they have.
func (s *Server) grant(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Permissions map[string]string `json:"permissions"`
	}
	if err := readJSON(r, &asked); err != nil {
		s.refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	s.mu.Lock()
	s.state.Granted = asked.Permissions
	s.mu.Unlock()
	s.saver.changed()
	w.WriteHeader(http.StatusNoContent)
}

// manifest is the part of GitHub's parameters that means something here.
//
// https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest#github-app-manifest-parameters
type manifest struct {
	Name        string            `json:"name"`
	URL         string            `json:"url"`
	RedirectURL string            `json:"redirect_url"`
	Permissions map[string]string `json:"default_permissions"`
	Events      []string          `json:"default_events"`
	Hook        *struct {
		URL    string `json:"url"`
		Active *bool  `json:"active"`
	} `json:"hook_attributes"`

	owner   string
	expires time.Time
}

func (m manifest) validate(permissions map[string]bool) error {
	redirect, err := url.Parse(m.RedirectURL)
	switch {
	case m.Name == "":
		return errors.New("name can't be blank")
	case len(m.Name) > 34:
		return errors.New("name is too long (maximum is 34 characters)")
	case m.URL == "":
		return errors.New("url must be a valid URL")
	case err != nil || redirect.Host == "":
		return errors.New("redirect_url must be a valid URL")
	case m.Hook != nil && m.Hook.URL == "" && (m.Hook.Active == nil || *m.Hook.Active):
		return errors.New("hook url can't be blank")
	case len(m.Events) > 0 && m.Hook == nil:
		return errors.New("default events are not supported without a hook")
	}
	for name, level := range m.Permissions {
		if !permissions[name] || (level != "read" && level != "write" && level != "admin") {
			return fmt.Errorf("default permission %s: %s is not included in the list", name, level)
		}
	}
	return nil
}

const newAppPage = `<!doctype html><html lang="en"><meta charset="utf-8"><title>New GitHub App · stand-in for GitHub</title>
<p>This is a stand-in for GitHub. Nothing here is github.com.</p>
<form method="post" action="?{{.Query}}"><input type="hidden" name="manifest" value="{{.Manifest}}">
<input type="hidden" name="sure" value="yes">
<h1>Create GitHub App for {{.Owner}}</h1><p><label>GitHub App name <input name="name" value="{{.Name}}" maxlength="34"></label></p>
<ul>{{range $name, $level := .Permissions}}<li>{{$name}}: {{$level}}</li>{{end}}</ul>
<button>Create GitHub App for {{.Owner}}</button></form></html>`

// newApp is the page that takes a manifest: as at GitHub, it asks a browser for a name and for one click, and then sends
// it to redirect_url with a code. What does not ask for HTML is no browser, and is sent there at once.
func (s *Server) newApp(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
	var m manifest
	if err := json.Unmarshal([]byte(r.FormValue("manifest")), &m); err != nil {
		s.refuse(w, http.StatusUnprocessableEntity, "Invalid GitHub App configuration: the manifest is no JSON")
		return
	}
	if name := r.PostFormValue("name"); name != "" {
		m.Name = name
	}
	if err := m.validate(s.contract.permissions); err != nil {
		s.refuse(w, http.StatusUnprocessableEntity, "Invalid GitHub App configuration: "+err.Error())
		return
	}
	m.owner = r.PathValue("org")
	if m.owner == "" {
		m.owner = signedIn
	}
	if r.PostFormValue("sure") != "yes" && strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		page := map[string]any{
			"Owner": m.owner, "Name": m.Name, "Permissions": m.Permissions, "Manifest": r.FormValue("manifest"),
			"Query": template.URL(url.Values{"state": {r.URL.Query().Get("state")}}.Encode()), // encoded the line before
		}
		if err := template.Must(template.New("").Parse(newAppPage)).Execute(w, page); err != nil {
			s.logger.Debug("page could not be written", "error", err)
		}
		return
	}
	s.mu.Lock()
	m.expires = s.now().Add(manifestLifetime)
	code := randomHex(40)
	s.manifests[code] = m
	s.mu.Unlock()
	to, err := url.Parse(m.RedirectURL)
	if err != nil {
		s.refuse(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	query := to.Query()
	query.Set("code", code)
	if state := r.URL.Query().Get("state"); state != "" {
		query.Set("state", state)
	}
	to.RawQuery = query.Encode()
	http.Redirect(w, r, to.String(), http.StatusFound)
}

// convertManifest makes the App, once, and installs it.
func (s *Server) convertManifest(req *apiRequest) reply {
	m, known := s.manifests[req.params["code"]]
	delete(s.manifests, req.params["code"])
	if !known || !s.now().Before(m.expires) {
		return fail(http.StatusNotFound, "Not Found")
	}
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return fail(http.StatusInternalServerError, err.Error())
	}
	permissions := maps.Clone(m.Permissions)
	if permissions == nil {
		permissions = map[string]string{}
	}
	permissions["metadata"] = "read"
	app := &madeApp{
		ID: s.state.id(), Slug: slug(m.Name), Name: m.Name, ClientID: "Iv23li" + randomText(14), PEM: string(encodeKey(key)),
		Owner: m.owner, Installation: s.state.id(), Permissions: permissions, HomePage: m.URL, MadeAt: s.now(),
	}
	s.state.Apps = append(s.state.Apps, app)
	s.saver.changed()
	shape := s.appShape(app.ID, app.Slug)
	maps.Copy(shape, map[string]any{
		"name": app.Name, "owner": s.account(app.Owner, s.ownerID(app.Owner)), "external_url": app.HomePage,
		"created_at": timestamp(app.MadeAt), "updated_at": timestamp(app.MadeAt), "installations_count": 1,
		"client_id": app.ClientID, "client_secret": randomHex(40), "webhook_secret": nil, "pem": app.PEM,
	})
	return reply{status: http.StatusCreated, body: shape}
}

// ownerID is of an account that may have no repository yet.
func (s *Server) ownerID(owner string) int64 {
	for _, repo := range s.state.Repositories {
		if strings.EqualFold(repo.Owner, owner) {
			return repo.OwnerID
		}
	}
	return s.state.id()
}

// slug is how a name looks in an address.
func slug(name string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}), "-")
}
