/* PyTorch as oracle: it takes our checkpoints and goes on, and we take its own. Skipped unless GRADUS_PYTHON names a Python
 * with torch. */
#define _GNU_SOURCE
#include "helper_train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Runs a script with one argument, the folder; its output is for people. */
static void python(const char *dir, const char *script)
{
    char path[512], command[2048];
    snprintf(path, sizeof path, "%s/oracle.py", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(script, file);
    fclose(file);
    snprintf(command, sizeof command, "'%s' '%s' '%s'", getenv("GRADUS_PYTHON"), path, dir);
    assert_int_equal(system(command), 0);
}

static bool no_python(void)
{
    const char *name = getenv("GRADUS_PYTHON");
    char command[1024];
    snprintf(command, sizeof command,
             "'%s' -c 'import importlib.util as u, sys; sys.exit(u.find_spec(\"torch\") is None)' 2>/dev/null",
             name ? name : "");
    return !name || system(command) != 0;
}

#define NETWORK                                                                                                             \
    "import sys, torch, struct\n"                                                                                           \
    "dir = sys.argv[1]\n"                                                                                                   \
    "torch.manual_seed(0)\n"                                                                                                \
    "net = torch.nn.Sequential(torch.nn.Linear(2, 24), torch.nn.BatchNorm1d(24), torch.nn.ReLU(), torch.nn.Dropout(0.1),\n" \
    "                          torch.nn.Linear(24, 3))\n"

enum { OPTIMIZERS = 4 };
static const char *const with_optimizer[OPTIMIZERS] = { "adam lr=1e-2", "adamw lr=1e-2 amsgrad=true",
                                              "sgd lr=1e-2 momentum=0.9 nesterov=true", "sgd lr=1e-2" };

/* The network's logits on 100 samples, in evaluation mode. */
static void logits(run *r, const float *x, float *out)
{
    grd_var h = r->logits;
    grd_plan *plan;
    grd_compile_opts opts = { .loss = GRD_NONE, .keep = { h }, .n_keep = 1 };
    grd_shape shape[GRD_MAX_INPUTS] = { { 2, { 100, 2 } }, { 1, { 100 } } };
    OK(r->ctx, grd_model_plan(r->model, &opts, shape, &plan));
    OK(r->ctx, grd_plan_run(plan, &(grd_run){ .input = { x } }));
    memcpy(out, grd_plan_value(plan, h, NULL), 300 * sizeof(float));
}

/* One run with each optimizer, in the folders 0, 1, 2, 3 of dir; io.bin holds samples and our logits with best.pth's weights. */
static void train_for_torch(const char *dir, int i)
{
    char sub[300], path[512];
    run r;
    float x[200], out[300];
    snprintf(sub, sizeof sub, "%s/%d", dir, i);
    run_open(&r, NULL);
    r.opts.dir = sub;
    r.opts.optim = with_optimizer[i];
    OK(r.ctx, run_fit(&r)); /* the model then holds what is in best.pth */
    for (int k = 0; k < 200; k++)
        x[k] = (float)sin(k);
    logits(&r, x, out);
    snprintf(path, sizeof path, "%s/io.bin", sub);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(x, sizeof x, 1, file) + fwrite(out, sizeof out, 1, file), 2);
    fclose(file);
    run_close(&r);
}

static void torch_takes_our_checkpoint_and_goes_on(void **state)
{
    (void)state;
    if (no_python())
        skip();
    char dir[256], sub[300];
    make_folder(dir, "torch");
    for (int i = 0; i < OPTIMIZERS; i++)
        train_for_torch(dir, i);
    python(dir,
           NETWORK
           "for i, name in enumerate(['Adam', 'AdamW', 'SGD', 'SGD']):\n"
           "    sub = f'{dir}/{i}'\n"
           "    best = torch.load(sub + '/best.pth', weights_only=True)\n"
           "    assert list(best['state_dict']) == list(net.state_dict()), list(best['state_dict'])\n"
           "    for k, v in net.state_dict().items():\n"
           "        assert best['state_dict'][k].dtype == v.dtype and best['state_dict'][k].shape == v.shape, k\n"
           "    net.load_state_dict(best['state_dict']); net.eval()\n"
           "    raw = torch.frombuffer(bytearray(open(sub + '/io.bin', 'rb').read()), dtype=torch.float32)\n"
           "    x, ours = raw[:200].view(100, 2), raw[200:].view(100, 3)\n"
           "    assert (net(x) - ours).abs().max() < 1e-5, (net(x) - ours).abs().max()\n"
           "    last = torch.load(sub + '/last.pth', weights_only=True, mmap=True)\n"
           "    assert last['epoch'] == 3 and last['lr'] == 1e-2 and last['gradus']['step'] == 21\n"
           "    net.load_state_dict(last['state_dict']); net.train()\n"
           "    opt = getattr(torch.optim, name)(net.parameters(), lr=1.0)\n"
           "    keys = set(opt.state_dict()['param_groups'][0])\n"
           "    opt.load_state_dict(last['optimizer'])\n"
           "    assert opt.param_groups[0]['lr'] == 1e-2 and keys <= set(opt.param_groups[0]), keys - set(opt.param_groups[0])\n"
           "    for p in net.parameters():\n"
           "        for k, v in opt.state[p].items(): assert k == 'step' or v.shape == p.shape\n"
           "        if 'step' in opt.state[p]: assert opt.state[p]['step'] == 21\n"
           "        assert i == 3 or opt.state[p]\n"
           "    net(x).square().mean().backward(); opt.step()\n");
    for (int i = 0; i < OPTIMIZERS; i++) {
        snprintf(sub, sizeof sub, "%s/%d", dir, i);
        remove_folder(sub);
    }
    remove_folder(dir);
}

static void we_take_torch_s_state_dict(void **state)
{
    (void)state;
    if (no_python())
        skip();
    char dir[256], path[512];
    make_folder(dir, "fromtorch");
    python(dir,
           NETWORK
           "for _ in range(3): net(torch.randn(50, 2))\n"
           "own = net.state_dict()\n"
           "torch.save(own, dir + '/0.pth')\n"
           "torch.save({'model_state_dict': own, 'epoch': 3}, dir + '/1.pth')\n"
           "torch.save({'module.' + k: v for k, v in own.items()}, dir + '/2.pth')\n"
           "net.eval(); x = torch.randn(100, 2)\n"
           "open(dir + '/io.bin', 'wb').write(x.numpy().tobytes() + net(x).detach().numpy().tobytes())\n");
    size_t size;
    char *io = read_text(dir, "io.bin", &size);
    float numbers[500], out[300];
    assert_int_equal(size, sizeof numbers);
    memcpy(numbers, io, size);
    free(io);
    for (int i = 0; i < 3; i++) {
        run r;
        int loaded;
        run_open(&r, NULL);
        snprintf(path, sizeof path, "%s/%d.pth", dir, i);
        OK(r.ctx, grd_model_load(r.model, path, NULL, &loaded));
        assert_int_equal(loaded, 9);
        logits(&r, numbers, out);
        for (int k = 0; k < 300; k++)
            assert_true(fabsf(out[k] - numbers[200 + k]) < 1e-5f);
        run_close(&r);
    }
    remove_folder(dir);
}

static const char *kept_in; /* handlers of tests have no other way to reach the test */

static grd_status keep_every_step(void *state, grd_event event, const grd_train_state *now, grd_trainer *trainer)
{
    char path[512];
    (void)state;
    if (event != GRD_EVENT_STEP_END)
        return GRD_OK;
    snprintf(path, sizeof path, "%s/%lld.pth", kept_in, (long long)now->step);
    return grd_model_save(grd_trainer_model(trainer), path);
}

static const grd_handler keeper = { .name = "keeper", .on = keep_every_step };

/* The weights of every step are kept; torch averages them as we did. */
static void the_moving_average_is_torch_s(void **state)
{
    (void)state;
    if (no_python())
        skip();
    char dir[256];
    run r;
    make_folder(dir, "average");
    kept_in = dir;
    run_open(&r, NULL);
    r.opts.dir = dir;
    r.opts.ema = 0.9;
    run_start(&r);
    OK(r.ctx, grd_trainer_add(r.trainer, &keeper, NULL));
    OK(r.ctx, grd_trainer_fit(r.trainer));
    run_close(&r);
    python(dir,
           NETWORK
           "from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn\n"
           "load = lambda name: torch.load(f'{dir}/{name}.pth', weights_only=True)\n"
           "last, best = load('last'), load('best')\n"
           "assert list(last['state_dict_ema']) == list(best['state_dict']) == list(net.state_dict())\n"
           "assert last['gradus']['step'] == 21 and last['gradus']['ema'] == best['gradus']['ema'] == 0.9\n"
           "average, at = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9)), {}\n"
           "for step in range(1, 22):\n"
           "    net.load_state_dict(load(step))\n"
           "    average.update_parameters(net)\n"
           "    at[step] = {k: v.detach().clone() for k, v in average.module.named_parameters()}\n"
           "def same(step, ours):\n"
           "    for k, v in at[step].items():\n"
           "        assert (v - ours[k]).abs().max() < 1e-6, (step, k, (v - ours[k]).abs().max())\n"
           "same(21, last['state_dict_ema'])\n"
           "same(best['gradus']['step'], best['state_dict'])\n"
           "net.load_state_dict(last['state_dict_ema']); net.load_state_dict(best['state_dict'])\n");
    remove_folder(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(torch_takes_our_checkpoint_and_goes_on),
        cmocka_unit_test(we_take_torch_s_state_dict),
        cmocka_unit_test(the_moving_average_is_torch_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
