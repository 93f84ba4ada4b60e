// Copyright The Platen Authors.
// SPDX-License-Identifier: Apache-2.0

package attacks

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/platen-dev/platen/internal/file"
	"github.com/platen-dev/platen/internal/outbound"
	"github.com/platen-dev/platen/internal/render"
	"github.com/platen-dev/platen/internal/render/browser"
)

var (
	// site is the address of the attacker's site, which pages may reach, and inside is one that they may not.
	site, inside = netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")

	closed = outbound.Policy{Allowed: outbound.Prefixes{netip.PrefixFrom(site, 32)}}
	open   = outbound.Policy{Allowed: outbound.Prefixes{netip.MustParsePrefix("127.0.0.0/8")}}
)

// canary has servers on the address inside, and records what reaches them: TCP and UDP, on one port.
type canary struct {
	port int
	udp  net.PacketConn

	mu      sync.Mutex
	reached []string
}

func newCanary(t *testing.T) *canary {
	t.Helper()
	c := &canary{}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", netip.AddrPortFrom(inside, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	c.port = listener.Addr().(*net.TCPAddr).Port
	if c.udp, err = (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			done.Go(func() { c.answer(conn) })
		}
	})
	done.Go(func() {
		buffer := make([]byte, 2048)
		for {
			if _, _, err := c.udp.ReadFrom(buffer); err != nil {
				return
			}
			c.record("udp")
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		_ = c.udp.Close()
		done.Wait()
	})
	return c
}

// fill puts the addresses of the canary and of the attacker's site into a page.
func (c *canary) fill(site, html string) string {
	address := netip.AddrPortFrom(inside, uint16(c.port)).String()
	return strings.NewReplacer("INSIDE", address, "PORT", strconv.Itoa(c.port), "SITE", site).Replace(html)
}

func (c *canary) record(way string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.reached, way) {
		c.reached = append(c.reached, way)
	}
}

// answer records a request's path, or "tcp" for anything but HTTP.
func (c *canary) answer(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	reader := bufio.NewReader(conn)
	first, err := reader.Peek(3)
	if err != nil {
		return
	}
	if s := string(first); s != "GET" && s != "POS" && s != "HEA" && s != "OPT" {
		c.record("tcp")
		return
	}
	r, err := http.ReadRequest(reader)
	if err != nil {
		return
	}
	c.record(r.URL.Path)
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nAccess-Control-Allow-Origin: *\r\nContent-Length: 12\r\nConnection: close\r\n\r\nSECRET-BYTES")
}

// await waits until all ways have reached the canary, for 10 seconds at most.
func (c *canary) await(ctx context.Context, ways []string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		reached := c.ways()
		if !slices.ContainsFunc(ways, func(way string) bool { return !slices.Contains(reached, way) }) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// ways returns what has reached the canary.
func (c *canary) ways() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(slices.Values(c.reached))
}

// netLog is the file to which a browser of start writes what its network does.
type netLog string

// start returns a browser behind a proxy with a policy. without has flags that the browser does not get.
func start(t *testing.T, policy outbound.Policy, without ...string) (*browser.Browser, netLog, *outbound.Proxy) {
	t.Helper()
	chromium, err := exec.LookPath("chromium-headless-shell")
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := outbound.NewProxy(policy, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	dir := t.TempDir()
	log := filepath.Join(dir, "net.json")
	// Everything that the browser would do with a path is in its flags.
	script := fmt.Sprintf(`#!/bin/sh
for flag do
  shift
  case $flag in %s) continue ;; esac
  set -- "$@" "$flag"
done
exec %s --log-net-log=%s --net-log-capture-mode=IncludeSensitive "$@"
`, strings.Join(append(without, "--none"), "*|"), chromium, log)
	path := filepath.Join(dir, "browser")
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := browser.New(browser.Options{ExecPath: path, Proxy: proxy.Address()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b, netLog(log), proxy
}

// picture renders a page. Its script may say how long it takes, by platen.ready.
func picture(t *testing.T, b *browser.Browser, html string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var picture []byte
	task := render.Task{
		Format: "png", Scale: 1, Quality: 90, Modifications: map[string]any{},
		Pages: []render.Page{{Number: 1, ID: "id", Width: 400, Height: 300, HTML: html}},
	}
	_, err := b.Render(ctx, task, render.SinkFunc(func(_ context.Context, _ file.File, data []byte) error {
		picture = data
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	return picture
}

// contacts returns where a browser that has ended sent packets, except to the proxy, and which names it looked up.
func (l netLog) contacts(t *testing.T, proxy *outbound.Proxy) []string {
	t.Helper()
	f, err := os.Open(string(l))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var (
		names    map[string]int
		contacts []string
		events   int
	)
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 64<<20)
	for scanner.Scan() {
		line := bytes.TrimSuffix(bytes.TrimPrefix(scanner.Bytes(), []byte(`"events": [`)), []byte(","))
		if constants, ok := bytes.CutPrefix(line, []byte(`{"constants":`)); ok {
			var c struct {
				LogEventTypes map[string]int `json:"logEventTypes"`
			}
			if err := json.Unmarshal(constants, &c); err != nil {
				t.Fatal(err)
			}
			names = c.LogEventTypes
			continue
		}
		var event struct {
			Type   int `json:"type"`
			Params struct {
				Address string `json:"address"`
				Host    string `json:"host"`
			} `json:"params"`
		}
		if json.Unmarshal(line, &event) != nil {
			continue
		}
		events++
		switch event.Type {
		case names["TCP_CONNECT_ATTEMPT"], names["UDP_BYTES_SENT"]:
			if a := event.Params.Address; a != "" && a != proxy.Address() {
				contacts = append(contacts, a)
			}
		case names["HOST_RESOLVER_MANAGER_JOB"]:
			if h := event.Params.Host; h != "" {
				contacts = append(contacts, h)
			}
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	if events == 0 || names["TCP_CONNECT_ATTEMPT"]*names["UDP_BYTES_SENT"]*names["HOST_RESOLVER_MANAGER_JOB"] == 0 {
		t.Fatalf("the browser's log has %d events, and not all names of them that the test needs", events)
	}
	slices.Sort(contacts)
	return slices.Compact(contacts)
}

// serve starts the attacker's site, and returns its host:port. It redirects /to/X to inside, and answers other
// paths with pages. The answer to /done?way=X&way=Y comes once X and Y have reached the canary.
func serve(t *testing.T, c *canary, pages map[string]string) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", netip.AddrPortFrom(site, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		if way, ok := strings.CutPrefix(r.URL.Path, "/to/"); ok {
			http.Redirect(w, r, fmt.Sprintf("http://%s:%d/redirect-%s", inside, c.port, way), http.StatusFound)
			return
		}
		if r.URL.Path == "/done" {
			c.await(r.Context(), r.URL.Query()["way"])
			return
		}
		page, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		if strings.HasSuffix(r.URL.Path, ".js") {
			w.Header().Set("Content-Type", "text/javascript")
		}
		_, _ = io.WriteString(w, strings.ReplaceAll(page, "INSIDE", fmt.Sprintf("%s:%d", inside, c.port)))
	})}
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() { _ = server.Close(); done.Wait() })
	return listener.Addr().String()
}

// settle is what a page waits before it is painted, so that its attempts are made.
const settle = `<script>platen.ready = () => new Promise((done) => setTimeout(done, 700))</script>`

// attempts are what a page tries. "open" are the ways that reach the canary when the policy allows its address, so that the others cannot
// pass only because they are written wrongly: the rest is refused by the browser whatever the policy says.
var attempts = map[string]struct {
	html string
	open []string
}{
	"elements": {
		html: `<img src="http://INSIDE/img"><img srcset="http://INSIDE/srcset 1x"><picture><source srcset="http://INSIDE/source"><img></picture>
			<video src="http://INSIDE/video" poster="http://INSIDE/poster" autoplay muted><track default src="http://INSIDE/track"></video>
			<audio src="http://INSIDE/audio" autoplay></audio><input type="image" src="http://INSIDE/input"><script src="http://INSIDE/script"></script>
			<script type="module" src="http://INSIDE/module"></script><iframe src="http://INSIDE/iframe"></iframe><embed src="http://INSIDE/embed"><object data="http://INSIDE/object"></object>
			<table background="http://INSIDE/background"><tr><td>x</table>`,
		open: []string{"/img", "/srcset", "/source", "/video", "/poster", "/audio", "/input", "/script", "/module", "/iframe", "/embed", "/object", "/background"},
	},
	"links": {
		html: `<link rel="stylesheet" href="http://INSIDE/stylesheet"><link rel="icon" href="http://INSIDE/icon"><link rel="preload" as="image" href="http://INSIDE/preload">
			<link rel="modulepreload" href="http://INSIDE/modulepreload"><link rel="prefetch" href="http://INSIDE/prefetch"><link rel="prerender" href="http://INSIDE/prerender">
			<link rel="preconnect" href="http://INSIDE"><link rel="dns-prefetch" href="//dns-prefetch.test"><img src="http://looked-up.test/"><link rel="preconnect" href="https://preconnect.test"><link rel="manifest" href="http://INSIDE/manifest">
			<script type="speculationrules">{"prefetch": [{"urls": ["http://INSIDE/speculation"]}], "prerender": [{"urls": ["http://INSIDE/speculation"]}]}</script>`,
		open: []string{"/stylesheet", "/preload", "/modulepreload"},
	},
	"styles": {
		html: `<style>@import "http://INSIDE/import"; @font-face { font-family: x; src: url("http://INSIDE/font") }
			p { font-family: x; background: url("http://INSIDE/css"); border-image: url("http://INSIDE/border-image") 1; list-style: url("http://INSIDE/list-style"); display: list-item; }
			p::before { content: url("http://INSIDE/content") } b { display: block; mask: url("http://INSIDE/mask"); filter: url("http://INSIDE/filter#f") }
			i { background: image-set("http://INSIDE/image-set" 1x); float: left; shape-outside: url("http://INSIDE/shape") }</style><p>x</p><b>x</b><i>x</i>`,
		open: []string{"/import", "/font", "/css", "/border-image", "/list-style", "/content", "/mask", "/image-set", "/shape"},
	},
	"pictures of SVG": {
		html: `<svg><image href="http://INSIDE/svg-image"/><use href="http://INSIDE/svg-use#x"/><feImage href="http://INSIDE/svg-feimage"/>
			<filter id="f"><feImage href="http://INSIDE/svg-filter"/></filter><rect filter="url(#f)" width="9" height="9"/><script href="http://INSIDE/svg-script"></script></svg>
			<img src='data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg"><image href="http://INSIDE/svg-in-img"/><style>@import "http://INSIDE/svg-in-img-import"</style></svg>'>`,
		open: []string{"/svg-image", "/svg-script"},
	},
	"scripts": {
		html: `<script>
			const quietly = (what) => { try { Promise.resolve(what()).catch(() => {}) } catch {} };
			quietly(() => fetch("http://INSIDE/fetch"));
			quietly(() => fetch("http://INSIDE/keepalive", {method: "POST", keepalive: true, mode: "no-cors"}));
			quietly(() => { const x = new XMLHttpRequest(); x.open("GET", "http://INSIDE/xhr"); x.send() });
			quietly(() => navigator.sendBeacon("http://INSIDE/beacon"));
			quietly(() => new EventSource("http://INSIDE/eventsource"));
			quietly(() => new WebSocket("ws://INSIDE/websocket"));
			quietly(() => new WebSocketStream("ws://INSIDE/websocketstream"));
			quietly(() => import("http://INSIDE/dynamic-import"));
			quietly(() => CSS.paintWorklet.addModule("http://INSIDE/worklet"));
			quietly(() => new FontFace("y", "url(http://INSIDE/fontface)").load());
			quietly(() => new Image().src = "http://INSIDE/image");
			quietly(() => new Worker(URL.createObjectURL(new Blob(['new WebSocket("ws://INSIDE/worker-websocket"); fetch("http://INSIDE/worker-fetch"); importScripts("http://INSIDE/worker-import")']))));
			quietly(() => new SharedWorker(URL.createObjectURL(new Blob(['fetch("http://INSIDE/shared-worker")']))));
		</script><form id="f" method="post" action="http://INSIDE/form" target="i"></form><iframe name="i"></iframe><a id="a" href="http://INSIDE/link" ping="http://INSIDE/ping" target="i">x</a><script>f.submit(); a.click()</script>`,
		open: []string{
			"/fetch", "/keepalive", "/xhr", "/beacon", "/eventsource", "/websocket", "/dynamic-import", "/fontface", "/image", "/worker-websocket", "/worker-fetch", "/worker-import",
		},
	},
	"literals": {
		html: `<img src="http://2130706433:PORT/decimal"><img src="http://0x7f000001:PORT/hexadecimal"><img src="http://0177.0.0.1:PORT/octal"><img src="http://127.1:PORT/short">
			<img src="http://0x7f.0.1:PORT/mixed"><img src="http://①②⑦.⓪.⓪.①:PORT/circled"><img src="http://[::ffff:127.0.0.1]:PORT/mapped"><img src="http://[::ffff:7f00:1]:PORT/mapped-hexadecimal">
			<img src="http://localhost:PORT/localhost"><img src="http://127.0.0.1.:PORT/dot"><img src="http://u:p@127.0.0.1:PORT/user"><img src="http://[::127.0.0.1]:PORT/compatible"><img src="http://[64:ff9b::7f00:1]:PORT/nat64">`,
		open: []string{"/decimal", "/hexadecimal", "/octal", "/short", "/mixed", "/circled", "/mapped", "/mapped-hexadecimal", "/localhost"},
	},
	"redirects": {
		html: `<img src="http://SITE/to/img"><link rel="stylesheet" href="http://SITE/to/css"><script src="http://SITE/to/script"></script><iframe src="http://SITE/to/iframe"></iframe>
			<style>@font-face { font-family: x; src: url("http://SITE/to/font") } p { font-family: x }</style><p>x</p>
			<script>fetch("http://SITE/to/fetch").catch(() => {}); new Worker(URL.createObjectURL(new Blob(['fetch("http://SITE/to/worker").catch(() => {})']))); new WebSocket("ws://SITE/to/websocket")</script>
			<iframe src="http://SITE/refresh"></iframe><iframe src="http://SITE/script-navigation"></iframe>`,
		open: []string{
			"/redirect-img", "/redirect-css", "/redirect-script", "/redirect-iframe", "/redirect-font", "/redirect-fetch", "/redirect-worker", "/refresh", "/script-navigation",
		},
	},
	// A page is not a secure context, and opens no window that could be one: it has no service workers.
	"service worker": {html: `<iframe src="http://SITE/register"></iframe>`},
	"WebRTC and WebTransport": {
		html: `<script>
			const connect = async (iceServers, iceTransportPolicy) => {
				const c = new RTCPeerConnection({iceServers, iceTransportPolicy}); c.createDataChannel("x"); await c.setLocalDescription(await c.createOffer());
				try { await c.addIceCandidate({candidate: "candidate:1 1 udp 2122260223 127.0.0.1 PORT typ host", sdpMid: "0"}) } catch {}
			};
			const turn = (url) => connect([{urls: url, username: "u", credential: "p"}], "relay");
			connect([{urls: "stun:INSIDE"}], "all"); turn("turn:INSIDE"); turn("turn:INSIDE?transport=tcp"); turn("turns:INSIDE?transport=tcp");
			try { new WebTransport("https://INSIDE/webtransport").ready.catch(() => {}) } catch {}
		</script>`,
		open: []string{"tcp"},
	},
	"other schemes": {
		html: `<iframe src="ftp://INSIDE/ftp"></iframe><img src="ftp://INSIDE/ftp"><iframe src="view-source:http://INSIDE/view-source"></iframe><img src="view-source:http://INSIDE/view-source">
			<iframe src="gopher://INSIDE/"></iframe><iframe src="filesystem:http://INSIDE/temporary/x"></iframe><iframe src="blob:http://INSIDE/x"></iframe><iframe src="chrome://net-internals"></iframe>
			<iframe src="devtools://devtools/bundled/inspector.html?ws=INSIDE/devtools"></iframe><iframe src="jar:http://INSIDE/x.jar!/"></iframe><iframe src="dict://INSIDE/"></iframe>
			<script>for (const scheme of ["ftp", "file", "view-source:http", "chrome", "gopher"]) fetch(scheme + "://INSIDE/scheme").catch(() => {})</script>`,
	},
}

// sitePages are the pages of the attacker's site.
var sitePages = map[string]string{
	"/refresh":           `<meta http-equiv="refresh" content="0;url=http://INSIDE/refresh">`,
	"/script-navigation": `<script>location = "http://INSIDE/script-navigation"</script>`,
	"/register":          `<script>navigator.serviceWorker.register("/worker.js")</script>`,
	"/worker.js":         `self.addEventListener("install", (e) => e.waitUntil(fetch("http://INSIDE/service-worker", {mode: "no-cors"}).catch(() => {})))`,
}

// TestPagesReachNothingInside lets a page try every transport of the browser, and records what reaches an address that it may not reach, and
// whom the browser contacts at all.
func TestPagesReachNothingInside(t *testing.T) {
	c := newCanary(t)
	address := serve(t, c, sitePages)
	page := func(html string) string {
		return settle + c.fill(address, html)
	}
	b, log, proxy := start(t, closed)
	for name, a := range attempts {
		t.Run(name, func(t *testing.T) {
			picture(t, b, page(a.html))
			if reached := c.ways(); len(reached) > 0 {
				t.Errorf("the page reached %q", reached)
			}
		})
	}
	b.Close()
	if contacts := log.contacts(t, proxy); len(contacts) > 0 {
		t.Errorf("the browser contacted %q, and not through the proxy", contacts)
	}
}

// TestWaysOfPagesWork lets the same pages reach the address.
func TestWaysOfPagesWork(t *testing.T) {
	b, _, _ := start(t, open)
	for name, a := range attempts {
		t.Run(name, func(t *testing.T) {
			c := newCanary(t)
			address := serve(t, c, sitePages)
			wait := `<script>platen.ready = () => fetch("http://SITE/done?` + url.Values{"way": a.open}.Encode() + `")</script>`
			picture(t, b, c.fill(address, wait+a.html))
			reached := c.ways()
			for _, way := range a.open {
				if !slices.Contains(reached, way) {
					t.Errorf("%s is allowed and was not reached: %q", way, reached)
				}
			}
			if slices.Contains(reached, "udp") {
				t.Error("the page sent UDP, which no proxy checks")
			}
		})
	}
}

// TestFlagsKeepWebRTCFromUDP renders the page of WebRTC without the flag that keeps it from UDP.
func TestFlagsKeepWebRTCFromUDP(t *testing.T) {
	c := newCanary(t)
	b, _, _ := start(t, closed, "--force-webrtc-ip-handling-policy")
	picture(t, b, settle+c.fill("", attempts["WebRTC and WebTransport"].html))
	if reached := c.ways(); !slices.Contains(reached, "udp") {
		t.Errorf("the page sent no UDP without the flag, so the other tests show nothing: %q", reached)
	}
}

// TestLogHasNames shows that the log has the names that a browser without a proxy looks up.
func TestLogHasNames(t *testing.T) {
	b, log, proxy := start(t, closed, "--proxy-server")
	picture(t, b, settle+`<img src="http://looked-up.test/">`)
	b.Close()
	if contacts := strings.Join(log.contacts(t, proxy), " "); !strings.Contains(contacts, "looked-up.test") {
		t.Errorf("the log of a browser without a proxy has no name: %q", contacts)
	}
}

// TestRebinding loads pictures by a name that resolves to the attacker's site and to an address inside in turns.
func TestRebinding(t *testing.T) {
	c := newCanary(t)
	policy := closed
	policy.Resolver = alternating(t, site, inside)
	var mu sync.Mutex
	loaded := 0
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("%s:%d", site, c.port))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		loaded++
		w.Header().Set("Connection", "close") // so that each picture needs an answer of the DNS
	})}
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() { _ = server.Close(); done.Wait() })

	b, _, _ := start(t, policy)
	var html strings.Builder
	for i := range 20 {
		fmt.Fprintf(&html, `<img src="http://rebinding.test:%d/picture%d">`, c.port, i)
	}
	picture(t, b, settle+html.String())
	if reached := c.ways(); len(reached) > 0 {
		t.Errorf("the page reached %q", reached)
	}
	mu.Lock()
	defer mu.Unlock()
	if loaded == 0 || loaded == 20 {
		t.Errorf("%d of 20 pictures were loaded, so the name did not change", loaded)
	}
}

// TestPagesCannotTellWhyARequestFails compares the pictures of pages that show a host that they may not reach and one that does not exist.
func TestPagesCannotTellWhyARequestFails(t *testing.T) {
	c := newCanary(t)
	policy := closed
	policy.Resolver = alternating(t, inside)
	b, _, _ := start(t, policy)
	policy.Resolver = alternating(t)
	other, _, _ := start(t, policy)
	html := settle + fmt.Sprintf(`<iframe src="http://internal.test:%d/"></iframe><iframe src="https://internal.test:%d/"></iframe>
		<pre id="out"></pre><script>fetch("http://internal.test:%d/").catch((e) => e).then((r) => out.textContent += r.status + r + "\n")</script>
		<script>fetch("http://internal.test:%d/", {mode: "no-cors"}).catch((e) => e).then((r) => out.textContent += r.type + r + "\n")</script>`, c.port, c.port, c.port, c.port)
	if !bytes.Equal(picture(t, b, html), picture(t, other, html)) {
		t.Error("the pages show whether the name exists")
	}
}

// alternating returns a resolver that answers questions for IPv4 addresses with one of addresses in turns, or with none.
func alternating(t *testing.T, addresses ...netip.Addr) *net.Resolver {
	t.Helper()
	server, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	t.Cleanup(func() { _ = server.Close(); done.Wait() })
	done.Go(func() {
		buffer := make([]byte, 512)
		for i := 0; ; {
			n, client, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			var message dnsmessage.Message
			if err := message.Unpack(buffer[:n]); err != nil || len(message.Questions) != 1 {
				continue
			}
			question := message.Questions[0]
			message.Response, message.Additionals = true, nil
			if question.Type == dnsmessage.TypeA && len(addresses) > 0 {
				message.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: question.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.AResource{A: addresses[i%len(addresses)].As4()},
				}}
				i++
			}
			if packed, err := message.Pack(); err == nil {
				_, _ = server.WriteTo(packed, client)
			}
		}
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}
